/// The one message of SASL PLAIN (RFC 4616): `[authzid] NUL authcid NUL password`, in Base64.
enum PlainMessage {
    /// What may be wrong with a message.
    enum Fault: Error, Equatable {
        /// It is not Base64.
        case notBase64
        /// There is no NUL in it.
        case noAuthenticationID
        /// Nothing stands between the two NULs.
        case emptyAuthenticationID
        /// There is only one NUL in it.
        case noPassword
        /// There are more than two.
        case trailingGarbage
        /// SASLprep refuses the name to act as.
        case invalidAuthorizationID
        /// SASLprep refuses the name whose password this is.
        case invalidAuthenticationID

        /// For the client.
        var text: String {
            switch self {
            case .notBase64: "Invalid base64 encoded challenge, mate"
            case .noAuthenticationID: "Challenge has no authentication id, mate"
            case .emptyAuthenticationID: "Empty authentication id, mate"
            case .noPassword: "Challenge has no password, mate"
            case .trailingGarbage: "Trailing garbage in challenge, mate"
            case .invalidAuthorizationID: "Invalid authorisation id, mate"
            case .invalidAuthenticationID: "Invalid authentication id, mate"
            }
        }
    }

    /// Reads a message. Both names go through SASLprep, the password stays as it is: only the real server knows in which
    /// form it is kept.
    static func decode(_ base64: [UInt8]) throws(Fault) -> Credentials {
        guard var message = Base64.decode(base64), !message.isEmpty else { throw .notBase64 }
        defer { message.wipe() }
        // By places: a slice that is still held would keep the wiping from its memory.
        let ends = message.indices.filter { message[$0] == 0 }
        guard let first = ends.first else { throw .noAuthenticationID }
        let second = ends.count > 1 ? ends[1] : message.count
        guard second > first + 1 else { throw .emptyAuthenticationID }
        guard ends.count > 1 else { throw .noPassword }
        guard ends.count == 2 else { throw .trailingGarbage }
        guard let authorizationID = SASLprep.prepare(message[..<first]) else { throw .invalidAuthorizationID }
        guard let authenticationID = SASLprep.prepare(message[(first + 1)..<second]) else {
            throw .invalidAuthenticationID
        }
        // Characters that SASLprep maps to nothing may have been all of it.
        guard !authenticationID.isEmpty else { throw .emptyAuthenticationID }
        return Credentials(
            authenticationID: authenticationID, authorizationID: authorizationID.isEmpty ? nil : authorizationID,
            password: Secret(message[(second + 1)...]))
    }

    /// Writes a message; nil where a name or the password holds a NUL and would be read as something else. The caller
    /// wipes it.
    static func encode(_ credentials: Credentials) -> [UInt8]? {
        let names = (credentials.authorizationID ?? []) + [0] + credentials.authenticationID + [0]
        var message: [UInt8] = []
        message.reserveCapacity(names.count + credentials.password.count)
        defer { message.wipe() }
        message += names
        message.append(credentials.password)
        guard message.count(where: { $0 == 0 }) == 2 else { return nil }
        var text: [UInt8] = []
        Base64.append(message, to: &text)
        return text
    }
}
