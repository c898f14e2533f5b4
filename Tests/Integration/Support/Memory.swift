import Foundation
import Glibc

/// What another process has in its memory.
enum Memory {
    /// Whether each of some words stands anywhere in what the process can write to. Needs root.
    static func holds(_ words: [String], of pid: pid_t) throws -> [Bool] {
        let maps = FileManager.default.contents(atPath: "/proc/\(pid)/maps") ?? Data()
        let memory = open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
        guard memory >= 0, !maps.isEmpty else { throw Failure.system("/proc/\(pid)/mem") }
        defer { close(memory) }
        var found = words.map { _ in false }
        for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") {
            let columns = line.split(separator: " ")
            let ends = columns[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard columns.count > 1, columns[1].hasPrefix("rw"), ends.count == 2 else { continue }
            var bytes = [UInt8](repeating: 0, count: Int(clamping: ends[1] &- ends[0]))
            let count = pread(memory, &bytes, bytes.count, off_t(clamping: ends[0]))
            guard count > 0 else { continue }
            let data = Data(bytes[..<count])
            for (index, word) in words.enumerated() where data.range(of: Data(word.utf8)) != nil { found[index] = true }
        }
        return found
    }
}
