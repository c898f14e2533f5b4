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

    /// Appends words of ours.
    mutating func append(_ words: StaticString) {
        words.withUTF8Buffer { append($0) }
    }

    /// Appends words from elsewhere.
    mutating func append(_ words: String) {
        var words = words
        words.withUTF8 { append($0) }
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

    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        let size = min(bytes.count, room.count - count)
        UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: room[count...]))
            .copyMemory(from: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[..<size])))
        count += size
    }
}
