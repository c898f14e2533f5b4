/// The one message of XOAUTH2 and OAUTHBEARER (RFC 7628 section 3.1), in Base64: a name, and behind it a token.
///
/// The name decides where the user's mail is, and may become another on the way. The rest goes to the real server as it
/// came: only that one can read it.
enum TokenMessage {
    /// What may be wrong with a message.
    enum Fault: Error, Equatable {
        /// It is not Base64.
        case notBase64
        /// It does not begin as the mechanism has it.
        case badBeginning
        /// It says nothing about whose mail it is.
        case noName
        /// SASLprep refuses the name.
        case invalidName
        /// There is no bearer token in it, or something that is none of its fields.
        case noToken

        /// For the client.
        var text: String {
            switch self {
            case .notBase64: "Invalid base64 encoded challenge, mate"
            case .badBeginning: "Invalid beginning of the response, mate"
            case .noName: "Response has no user name, mate"
            case .invalidName: "Invalid user name, mate"
            case .noToken: "Response has no bearer token, mate"
            }
        }
    }

    private static let separator: UInt8 = 1

    /// Reads a message; the token, with the fields around it, is the password of what comes out.
    static func decode(_ base64: [UInt8], _ mechanism: Mechanism) throws(Fault) -> Credentials {
        guard var message = Base64.decode(base64), !message.isEmpty else { throw .notBase64 }
        defer { message.wipe() }
        // By places: a slice that is still held would keep the wiping from its memory.
        guard let end = message.firstIndex(of: separator) else { throw .noToken }
        let raw = mechanism == .oauthbearer ? try headerName(message, upTo: end) : try fieldName(message, upTo: end)
        guard let name = SASLprep.prepare(raw) else { throw .invalidName }
        guard !name.isEmpty else { throw .noName }
        // XOAUTH2 has its fields directly behind the name's separator, OAUTHBEARER ends its header with one.
        guard holdsToken(message, from: end + 1) else { throw .noToken }
        return Credentials(
            authenticationID: name, authorizationID: nil, password: Secret(message[(end + 1)...]), token: mechanism)
    }

    /// Writes a message; nil where the credentials are no token. The caller wipes it.
    static func encode(_ credentials: Credentials) -> [UInt8]? {
        guard let mechanism = credentials.token, !credentials.authenticationID.contains(where: { $0 <= separator })
        else { return nil }
        var message: [UInt8] = []
        message.reserveCapacity(3 * credentials.authenticationID.count + credentials.password.count + 16)
        defer { message.wipe() }
        if mechanism == .oauthbearer {
            message.append("n,a=")
            for byte in credentials.authenticationID {
                switch byte {
                case UInt8(ascii: ","): message.append("=2C")
                case UInt8(ascii: "="): message.append("=3D")
                default: message.append(byte)
                }
            }
            message.append(",")
        } else {
            message.append("user=")
            message += credentials.authenticationID
        }
        message.append(separator)
        message.append(credentials.password)
        var text: [UInt8] = []
        Base64.append(message, to: &text)
        return text
    }

    /// `user=NAME`
    private static func fieldName(_ message: [UInt8], upTo end: Int) throws(Fault) -> [UInt8] {
        guard ASCII.begins(message[..<end], "USER=") else { throw .badBeginning }
        return [UInt8](message[5..<end])
    }

    /// `n,a=NAME,`: the header of GS2 (RFC 5801 section 4), whose name has `=2C` and `=3D` for comma and equals sign.
    /// Channels are not bound to anything here, so a client that wants that cannot be served.
    private static func headerName(_ message: [UInt8], upTo end: Int) throws(Fault) -> [UInt8] {
        let header = message[..<end]
        guard end >= 3, header[0] == UInt8(ascii: "n") || header[0] == UInt8(ascii: "y"),
            header[1] == UInt8(ascii: ","), header[end - 1] == UInt8(ascii: ",")
        else { throw .badBeginning }
        guard end > 3 else { throw .noName }
        guard header[2] == UInt8(ascii: "a"), end > 5, header[3] == UInt8(ascii: "=") else { throw .badBeginning }
        var name: [UInt8] = []
        var index = 4
        while index < end - 1 {
            switch header[index] {
            case UInt8(ascii: ","): throw .badBeginning
            case UInt8(ascii: "="):
                guard index + 2 < end - 1 else { throw .invalidName }
                switch (ASCII.upper(header[index + 1]), ASCII.upper(header[index + 2])) {
                case (UInt8(ascii: "2"), UInt8(ascii: "C")): name.append(UInt8(ascii: ","))
                case (UInt8(ascii: "3"), UInt8(ascii: "D")): name.append(UInt8(ascii: "="))
                default: throw .invalidName
                }
                index += 3
            default:
                name.append(header[index])
                index += 1
            }
        }
        return name
    }

    /// Whether the rest is fields, each with its separator, one of them `auth=Bearer TOKEN`, and one separator more.
    private static func holdsToken(_ message: [UInt8], from start: Int) -> Bool {
        guard message.count >= start + 2, message[message.count - 1] == separator,
            message[message.count - 2] == separator
        else { return false }
        var found = false
        var field = start
        while field < message.count - 1 {
            guard let end = message[field...].firstIndex(of: separator), end > field,
                let equals = message[field..<end].firstIndex(of: UInt8(ascii: "=")), equals > field,
                message[field..<end].allSatisfy({ ($0 >= 0x20 && $0 < 0x7f) || (9...10).contains($0) || $0 == 13 })
            else { return false }
            if ASCII.begins(message[field..<end], "AUTH=BEARER "), end > field + 12 { found = true }
            field = end + 1
        }
        return found
    }
}
