import CLinux
import Glibc

/// The lines and literals of one direction, cut out of a bounded buffer that is wiped as it is used up.
///
/// The buffer is memory of its own: an array that grew would leave copies of passwords behind.
final class LineReader {
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

    /// Of `lineLimit` bytes, while something waits or is about to.
    private var memory: UnsafeMutableRawBufferPointer?
    private var head = 0
    private var tail = 0
    /// Up to here the buffer is known to hold no LF.
    private var searched = 0

    deinit {
        release()
    }

    /// Bytes that wait.
    var count: Int { tail - head }
    /// How many more bytes may be read into the buffer.
    var room: Int { Self.lineLimit - count }

    /// Adds what was read; what exceeds `room` is left out, so the caller asks first.
    func append(_ bytes: UnsafeRawBufferPointer) {
        let memory = memory ?? .allocate(byteCount: Self.lineLimit, alignment: 16)
        self.memory = memory
        if tail + bytes.count > memory.count { moveDown(memory) }
        let taken = min(bytes.count, memory.count - tail)
        UnsafeMutableRawBufferPointer(rebasing: memory[tail...]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: bytes.prefix(taken)))
        tail += taken
    }

    /// Cuts off the next line.
    func nextLine() -> Line {
        guard let memory, let end = memory[max(searched, head)..<tail].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = tail
            return room > 0 ? .incomplete : .tooLong
        }
        var line: [UInt8] = []
        line.reserveCapacity(end - head)
        for byte in memory[head..<end] where byte != UInt8(ascii: "\r") { line.append(byte) }
        use(upTo: end + 1)
        return .line(line)
    }

    /// Cuts off up to `limit` bytes of whatever there is.
    func take(atMost limit: Int) -> [UInt8] {
        guard let memory else { return [] }
        let end = head + min(limit, count)
        let bytes = [UInt8](memory[head..<end])
        use(upTo: end)
        return bytes
    }

    /// Hands over everything that waits and gives up the memory.
    func takeAll() -> [UInt8] {
        let rest = take(atMost: count)
        release()
        return rest
    }

    /// Forgets everything that waits; says how much it was.
    @discardableResult
    func discard() -> Int {
        let waiting = count
        use(upTo: tail)
        return waiting
    }

    private func use(upTo end: Int) {
        guard let memory else { return }
        wipe(memory, from: head, upTo: end)
        head = end
        if head == tail {
            head = 0
            tail = 0
        }
        searched = head
    }

    private func moveDown(_ memory: UnsafeMutableRawBufferPointer) {
        guard let base = memory.baseAddress, head > 0 else { return }
        memmove(base, base + head, count)
        let end = count
        searched -= head
        wipe(memory, from: end, upTo: tail)
        head = 0
        tail = end
    }

    private func wipe(_ memory: UnsafeMutableRawBufferPointer, from start: Int, upTo end: Int) {
        guard let base = memory.baseAddress, end > start else { return }
        linux_wipe(base + start, end - start)
    }

    private func release() {
        guard let memory else { return }
        wipe(memory, from: 0, upTo: memory.count)
        memory.deallocate()
        self.memory = nil
        head = 0
        tail = 0
        searched = 0
    }
}
