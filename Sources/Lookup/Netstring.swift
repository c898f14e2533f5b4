/// Why a stream of netstrings cannot be read on.
public enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A length is no decimal number without leading zeros.
    case malformedLength
    /// A length is over the limit of this end, in bytes.
    case tooLong(limit: Int)
    /// The byte behind the payload is not a comma.
    case missingComma

    /// A sentence for the log.
    public var description: String {
        switch self {
        case .malformedLength: "the length of a netstring is not a number"
        case .tooLong(let limit): "a netstring is longer than \(limit) bytes"
        case .missingComma: "a netstring does not end with a comma"
        }
    }
}

/// Netstrings, `<decimal length>:<payload>,`: taken apart as their bytes come in, and put together.
public struct Netstring: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0
    private let limit: Int

    /// A reader at the start of a stream.
    /// - Parameter limit: the longest payload it takes, in bytes.
    public init(limit: Int) {
        self.limit = limit
    }

    /// Bytes that came in and have not been handed out.
    public var pending: Int { buffer.count - start }

    /// Adds what came in. Call `next()` until it has nothing before adding more, and the reader holds no more than one
    /// payload and the bytes given here.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 4096)
        } else if start > 0 {
            buffer.removeSubrange(..<start)
        }
        start = 0
        unsafe buffer.append(contentsOf: bytes)
    }

    /// The next whole payload; nil until the rest of it has come in.
    /// - Throws: `WireError` at the first byte that cannot be right, then and ever after.
    public mutating func next() throws(WireError) -> ArraySlice<UInt8>? {
        var length = 0
        var index = start
        while true {
            guard index < buffer.count else { return nil }
            let byte = buffer[index]
            index += 1
            if byte == UInt8(ascii: ":"), index - start > 1 { break }
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { throw .malformedLength }
            // "0" is a length, "07" is not.
            guard length > 0 || index - start == 1 else { throw .malformedLength }
            length = length * 10 + Int(byte - UInt8(ascii: "0"))
            guard length <= limit else { throw .tooLong(limit: limit) }
        }
        let end = index + length
        guard end < buffer.count else { return nil }
        guard buffer[end] == UInt8(ascii: ",") else { throw .missingComma }
        start = end + 1
        return buffer[index..<end]
    }

    /// Appends the start of a netstring of so many bytes; the caller appends those, and a comma.
    public static func open(_ length: Int, in output: inout [UInt8]) {
        var divisor = 1
        while divisor <= length / 10 { divisor *= 10 }
        while divisor > 0 {
            output.append(UInt8(ascii: "0") + UInt8(length / divisor % 10))
            divisor /= 10
        }
        output.append(UInt8(ascii: ":"))
    }
}
