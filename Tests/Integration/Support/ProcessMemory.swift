import Foundation
import Glibc

/// What a core image of a process would hold. Needs root.
struct ProcessMemory {
    let pid: pid_t

    /// A place where something was found that should not be.
    struct Hit: CustomStringConvertible {
        let region: String
        /// The text around it.
        let around: String

        var description: String { "\(region): \(around)" }
    }

    /// Looks for byte strings in everything that can be read.
    /// - Throws: `Failure` where the memory cannot be read.
    func search(for needles: [[UInt8]]) throws -> [Hit] {
        var hits: [Hit] = []
        var bytesRead = 0
        let file = open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Failure.system("/proc/\(pid)/mem") }
        defer { close(file) }
        let maps = try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8)
        for line in maps.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard ends.count == 2, words[1].hasPrefix("r"), ends[1] < 1 << 47 else { continue }
            var room = [UInt8](repeating: 0, count: Int(ends[1] - ends[0]))
            let count = pread(file, &room, room.count, off_t(ends[0]))
            // The system's own pages, and those behind the end of a file, cannot be read.
            guard count > 0 else { continue }
            bytesRead += count
            for needle in needles {
                for place in Self.places(of: needle, in: room, count: count) {
                    let near = room[max(0, place - 24)..<min(count, place + needle.count + 16)]
                    let text = String(decoding: near.map { (32...126).contains($0) ? $0 : 46 }, as: UTF8.self)
                    hits.append(Hit(region: String(words.last ?? ""), around: text))
                }
            }
        }
        guard bytesRead > 1 << 20 else { throw Failure("only \(bytesRead) bytes of process \(pid) could be read") }
        return hits
    }

    /// Where a byte string is, by the C library: there are tens of megabytes to look through.
    private static func places(of needle: [UInt8], in room: [UInt8], count: Int) -> [Int] {
        room.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress, let first = needle.first else { return [] }
            var places: [Int] = []
            var from = 0
            while from + needle.count <= count, let found = memchr(start + from, Int32(first), count - from) {
                let place = UnsafeRawPointer(found) - start
                if place + needle.count <= count, memcmp(found, needle, needle.count) == 0 { places.append(place) }
                from = place + 1
            }
            return places
        }
    }
}
