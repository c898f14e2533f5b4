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

    private var buffer: [UInt8] = []
    private var head = 0
    /// Up to here the buffer is known to hold no LF.
    private var searched = 0

    /// Bytes that wait.
    var count: Int { buffer.count - head }
    /// How many more bytes may be read into the buffer.
    var room: Int { Self.lineLimit - count }

    /// Adds what was read; the caller asks `room` first.
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        buffer.append(contentsOf: bytes)
    }

    /// Cuts off the next line.
    mutating func nextLine() -> Line {
        guard let end = buffer[max(searched, head)...].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = buffer.count
            return room > 0 ? .incomplete : .tooLong
        }
        var line: [UInt8] = []
        line.reserveCapacity(end - head)
        for byte in buffer[head..<end] where byte != UInt8(ascii: "\r") { line.append(byte) }
        use(upTo: end + 1)
        return .line(line)
    }

    /// Cuts off up to `limit` bytes of whatever there is.
    mutating func take(atMost limit: Int) -> [UInt8] {
        let end = head + min(limit, count)
        let bytes = [UInt8](buffer[head..<end])
        use(upTo: end)
        return bytes
    }

    /// Hands over everything that waits and gives up the memory.
    mutating func takeAll() -> [UInt8] {
        let rest = take(atMost: count)
        buffer.wipe()
        buffer = []
        return rest
    }

    /// Forgets everything that waits; says how much it was.
    @discardableResult
    mutating func discard() -> Int {
        let waiting = count
        use(upTo: buffer.count)
        return waiting
    }

    private mutating func use(upTo end: Int) {
        buffer.withUnsafeMutableBytes { bytes in
            _ = bytes[head..<end].initializeMemory(as: UInt8.self, repeating: 0)
        }
        head = end
        if head == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            head = 0
        } else if head > Self.lineLimit {
            buffer.removeFirst(head)
            head = 0
        }
        searched = head
    }
}
