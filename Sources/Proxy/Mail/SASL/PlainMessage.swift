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
    }

    /// Reads a message. Both names go through SASLprep, the password stays as it is: only the real server knows in which
    /// form it is kept.
    static func decode(_ base64: [UInt8]) throws(Fault) -> Credentials {
        guard var message = Base64.decode(base64), !message.isEmpty else { throw .notBase64 }
        defer { message.wipe() }
        let parts = message.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count > 1 else { throw .noAuthenticationID }
        guard !parts[1].isEmpty else { throw .emptyAuthenticationID }
        guard parts.count > 2 else { throw .noPassword }
        guard parts.count == 3 else { throw .trailingGarbage }
        guard let authorizationID = SASLprep.prepare(parts[0]) else { throw .invalidAuthorizationID }
        guard let authenticationID = SASLprep.prepare(parts[1]) else { throw .invalidAuthenticationID }
        // Characters that SASLprep maps to nothing may have been all of it.
        guard !authenticationID.isEmpty else { throw .emptyAuthenticationID }
        return Credentials(
            authenticationID: authenticationID, authorizationID: authorizationID.isEmpty ? nil : authorizationID,
            password: Secret(parts[2]))
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
