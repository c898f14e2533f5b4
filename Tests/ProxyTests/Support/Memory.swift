import CLinux
import Glibc
import Loop

/// This process's own memory, searched.
enum Memory {
    /// How often some bytes occur in writable memory, given with every high bit set so that they do not occur here.
    static func count(masked: [UInt8]) throws(Errno) -> Int {
        let file = linux_open("/proc/self/mem", O_RDONLY, 0)
        guard file >= 0 else { throw .last }
        defer { close(file) }
        let step = 1 << 20
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: step, alignment: 4096)
        defer {
            linux_wipe(room.baseAddress, room.count)
            room.deallocate()
        }
        let own = UInt(bitPattern: room.baseAddress)
        var found = 0
        // The room for searching is left out, exactly: what lies beside it is not.
        let ranges = try writableRanges().flatMap { start, end in
            end <= own || start >= own + UInt(step)
                ? [(start, end)] : [(start, max(start, own)), (min(end, own + UInt(step)), end)]
        }
        for (start, end) in ranges {
            var at = start
            // Pieces overlap, so that nothing hides across their border.
            while at < end {
                defer { at += UInt(step - masked.count) }
                let size = Int(min(UInt(step), end - at))
                let count = pread(file, room.baseAddress, size, off_t(at))
                if count > 0 { found += occurrences(of: masked, in: UnsafeRawBufferPointer(room)[..<count]) }
            }
        }
        return found
    }

    private static func occurrences(of masked: [UInt8], in bytes: Slice<UnsafeRawBufferPointer>) -> Int {
        let bytes = UnsafeRawBufferPointer(rebasing: bytes)
        guard let first = masked.first, let base = bytes.baseAddress, bytes.count >= masked.count else { return 0 }
        var found = 0
        var at = 0
        let last = bytes.count - masked.count
        while at <= last, let hit = memchr(base + at, Int32(first ^ 0x80), last - at + 1) {
            at = UnsafeRawPointer(hit) - base
            if masked.indices.allSatisfy({ bytes[at + $0] ^ 0x80 == masked[$0] }) { found += 1 }
            at += 1
        }
        return found
    }

    private static func writableRanges() throws(Errno) -> [(UInt, UInt)] {
        let file = linux_open("/proc/self/maps", O_RDONLY, 0)
        guard file >= 0 else { throw .last }
        defer { close(file) }
        var text: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(file, &room, room.count)
            guard count > 0 else { break }
            text += room[..<count]
        }
        return text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard words.count > 1, words[1].starts(with: "rw".utf8) else { return nil }
            let ends = words[0].split(separator: UInt8(ascii: "-")).compactMap {
                UInt(String(decoding: $0, as: UTF8.self), radix: 16)
            }
            return ends.count == 2 ? (ends[0], ends[1]) : nil
        }
    }
}
