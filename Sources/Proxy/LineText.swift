/// Text put together from pieces in memory that is taken once: appending to a String measures and checks at each step.
struct LineText: ~Copyable {
    private let room: UnsafeMutableBufferPointer<UInt8>
    private var count = 0

    private init(_ room: UnsafeMutableBufferPointer<UInt8>) { self.room = room }

    /// Makes the text.
    /// - Parameters:
    ///   - capacity: how many bytes at most; what is beyond is left out.
    ///   - body: appends the pieces.
    static func make(capacity: Int, _ body: (inout LineText) -> Void) -> String {
        String(unsafeUninitializedCapacity: capacity) { room in
            var text = LineText(room)
            body(&text)
            return text.count
        }
    }

    /// Puts the text into memory that is there already.
    /// - Returns: its length; what finds no room is left out.
    static func fill(_ room: UnsafeMutableBufferPointer<UInt8>, _ body: (inout LineText) -> Void) -> Int {
        var text = LineText(room)
        body(&text)
        return text.count
    }

    /// Appends words of ours.
    @inline(__always)
    mutating func append(_ words: StaticString) {
        guard words.hasPointerRepresentation else { return words.withUTF8Buffer { append($0) } }
        append(UnsafeBufferPointer(start: words.utf8Start, count: words.utf8CodeUnitCount))
    }

    /// Appends words from elsewhere.
    mutating func append(_ words: String) {
        // Lends the words where they are: a copy to be made contiguous would be one more holder to count.
        if words.utf8.withContiguousStorageIfAvailable({ append($0) }) == nil {
            for byte in words.utf8 where count < room.count {
                room[count] = byte
                count += 1
            }
        }
    }

    /// Appends a number in decimal.
    mutating func append(_ number: UInt64) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { digits in
            var first = digits.count
            var rest = number
            repeat {
                first -= 1
                digits[first] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            digits[first...].withContiguousStorageIfAvailable { append($0) }
        }
    }

    @inline(__always)
    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        let size = min(bytes.count, room.count - count)
        guard size > 0, let source = bytes.baseAddress, let target = room.baseAddress else { return }
        (target + count).update(from: source, count: size)
        count += size
    }
}
