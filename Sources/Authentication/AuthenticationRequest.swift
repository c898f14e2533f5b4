import Lookup

/// What a proxy asks its authentication helper: the netstrings of a name, the client's address and a password, one
/// after the other. A connection carries one request and its answer.
public enum AuthenticationRequest {
    /// Bytes of a name or a password at most: more than the login dialogues take.
    public static let fieldLimit = 8192
    /// Bytes of the client's address at most: the longest IPv6 address with its scope.
    public static let addressLimit = 64
    /// Bytes of a whole request at most, lengths and marks included.
    public static let limit = 2 * (fieldLimit + 6) + addressLimit + 4

    /// Where the fields of a request are.
    public struct Fields: Equatable, Sendable {
        /// The name to authenticate.
        public var user: Range<Int>
        /// Where the client connects from, digits without port; empty where nobody knows.
        public var client: Range<Int>
        /// The password.
        public var password: Range<Int>
    }

    /// What the bytes that are here come to.
    public enum State: Equatable, Sendable {
        /// More must come.
        case incomplete
        /// They are no request, whatever comes.
        case malformed
        /// A request; nothing stands behind it.
        case complete(Fields)
    }

    /// Puts a request together. It holds the password: the caller wipes it.
    /// - Returns: nil where a field is too long or holds a NUL, with which PAM would see less than was given.
    public static func encode(user: [UInt8], client: String, password: UnsafeRawBufferPointer) -> [UInt8]? {
        guard user.count <= fieldLimit, password.count <= fieldLimit, client.utf8.count <= addressLimit,
            !user.contains(0), !password.contains(0), !client.utf8.contains(0)
        else { return nil }
        var bytes: [UInt8] = []
        // Room for all of it, so that no copy is left behind where the array has grown.
        bytes.reserveCapacity(limit)
        append(user, to: &bytes)
        append(client.utf8, to: &bytes)
        append(password, to: &bytes)
        return bytes
    }

    private static func append(_ field: some Collection<UInt8>, to bytes: inout [UInt8]) {
        Netstring.open(field.count, in: &bytes)
        bytes.append(contentsOf: field)
        bytes.append(UInt8(ascii: ","))
    }

    /// Takes a request apart without copying any of it.
    public static func parse(_ bytes: UnsafeRawBufferPointer) -> State {
        var fields: [Range<Int>] = []
        var start = 0
        for limit in [fieldLimit, addressLimit, fieldLimit] {
            switch field(bytes, at: start, limit: limit) {
            case .incomplete: return .incomplete
            case .malformed: return .malformed
            case .found(let range):
                guard !bytes[range].contains(0) else { return .malformed }
                fields.append(range)
                start = range.upperBound + 1
            }
        }
        guard start == bytes.count else { return .malformed }
        return .complete(Fields(user: fields[0], client: fields[1], password: fields[2]))
    }

    private enum Field {
        case incomplete, malformed
        case found(Range<Int>)
    }

    private static func field(_ bytes: UnsafeRawBufferPointer, at start: Int, limit: Int) -> Field {
        var length = 0
        var index = start
        while true {
            guard index < bytes.count else { return .incomplete }
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: ":"), index - start > 1 { break }
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9"), length > 0 || index - start == 1 else {
                return .malformed
            }
            length = length * 10 + Int(byte - UInt8(ascii: "0"))
            guard length <= limit else { return .malformed }
        }
        guard index + length < bytes.count else { return .incomplete }
        guard bytes[index + length] == UInt8(ascii: ",") else { return .malformed }
        return .found(index..<(index + length))
    }
}
