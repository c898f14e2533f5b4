import CLinux
import Glibc

/// The lines and literals of one direction, cut out of a bounded buffer that is wiped as it is used up.
struct LineReader {
    /// What a buffer holds now.
    enum Line: Equatable {
        /// A line without its end; every CR is dropped, LF alone ends it.
        case line([UInt8])
        /// No end of line yet.
        case incomplete
        /// No end of line within the limit.
        case tooLong
    }

    /// Longest line in bytes, its end included (RFC 9051 section 4 and RFC 2449 ask for less).
    static let lineLimit = 8192

    /// The first buffer in bytes: holds what clients and servers say in most logins.
    private static let firstSize = 512

    /// The whole buffer, zero wherever nothing waits.
    private(set) var memory: [UInt8] = []
    private var head = 0
    private var tail = 0
    /// Up to here the buffer is known to hold no LF.
    private var searched = 0

    /// Bytes that wait.
    var count: Int { tail - head }
    /// How many more bytes may be read into the buffer.
    var room: Int { Self.lineLimit - count }

    /// Adds what was read; the caller asks `room` first.
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if memory.count - tail < bytes.count { makeRoom(for: bytes.count) }
        memory.withUnsafeMutableBytes { memory in
            UnsafeMutableRawBufferPointer(rebasing: memory[tail...]).copyMemory(from: bytes)
        }
        tail += bytes.count
    }

    /// Cuts off the next line.
    mutating func nextLine() -> Line {
        guard let end = place(of: UInt8(ascii: "\n"), in: searched..<tail) else {
            searched = tail
            return room > 0 ? .incomplete : .tooLong
        }
        // Nearly always there is one CR, the last byte.
        let last = end > head && memory[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
        var line: [UInt8]
        if place(of: UInt8(ascii: "\r"), in: head..<last) == nil {
            line = [UInt8](memory[head..<last])
        } else {
            // Room for all of it, since growing would leave copies behind.
            line = []
            line.reserveCapacity(last - head)
            for byte in memory[head..<last] where byte != UInt8(ascii: "\r") { line.append(byte) }
        }
        use(upTo: end + 1)
        return .line(line)
    }

    /// The next line as it came, its end included, and left where it is; empty where there is no whole one.
    func peekLine() -> [UInt8] {
        guard let end = place(of: UInt8(ascii: "\n"), in: head..<tail) else { return [] }
        return [UInt8](memory[head...end])
    }

    /// Cuts off up to `limit` bytes of whatever there is.
    mutating func take(atMost limit: Int) -> [UInt8] {
        let end = head + min(limit, count)
        let bytes = [UInt8](memory[head..<end])
        use(upTo: end)
        return bytes
    }

    /// Hands over everything that waits and gives up the memory.
    mutating func takeAll() -> [UInt8] {
        let rest = take(atMost: count)
        memory = []
        return rest
    }

    /// Forgets everything that waits; says how much it was.
    @discardableResult
    mutating func discard() -> Int {
        let waiting = count
        use(upTo: tail)
        return waiting
    }

    private func place(of byte: UInt8, in range: Range<Int>) -> Int? {
        memory.withUnsafeBytes { memory in
            let part = UnsafeRawBufferPointer(rebasing: memory[range])
            guard let start = part.baseAddress, let found = memchr(start, Int32(byte), part.count) else { return nil }
            return range.lowerBound + (UnsafeRawPointer(found) - start)
        }
    }

    private mutating func use(upTo end: Int) {
        wipe(head..<end)
        head = end
        if head == tail {
            head = 0
            tail = 0
        }
        searched = head
    }

    /// Moves what waits to the front, into a larger buffer where it must be, and leaves no copy behind.
    private mutating func makeRoom(for more: Int) {
        let waiting = count
        if waiting + more <= memory.count {
            memory.withUnsafeMutableBytes { memory in
                memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[head..<tail]))
            }
            wipe(waiting..<tail)
        } else {
            var size = max(memory.count, Self.firstSize)
            while size < waiting + more { size *= 2 }
            var larger = [UInt8](repeating: 0, count: size)
            if waiting > 0 { larger.replaceSubrange(0..<waiting, with: memory[head..<tail]) }
            memory.wipe()
            memory = larger
        }
        searched -= head
        head = 0
        tail = waiting
    }

    private mutating func wipe(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        memory.withUnsafeMutableBytes { memory in
            let used = UnsafeMutableRawBufferPointer(rebasing: memory[range])
            linux_wipe(used.baseAddress, used.count)
        }
    }
}
