/// Who the client says it is. Names are bytes: what is not UTF-8 passes through unchanged.
struct Credentials {
    /// The name whose password this is.
    var authenticationID: [UInt8]
    /// The name to act as, where the client gave one (RFC 4616).
    var authorizationID: [UInt8]?
    /// The password; where `token` is set, the token and the fields around it.
    var password: Secret
    /// The mechanism whose token it is; nil for a password.
    var token: Mechanism?

    /// Whether the user acts as another than the one whose password it is.
    var actsForAnother: Bool {
        guard let authorizationID, !authorizationID.isEmpty else { return false }
        return authorizationID != authenticationID
    }

    /// The one message that a mechanism has, in Base64; nil where it cannot carry what this is. The caller wipes it.
    var message: [UInt8]? { token == nil ? PlainMessage.encode(self) : TokenMessage.encode(self) }

    /// The name that decides where the user's mail is.
    var routedID: [UInt8] {
        guard let authorizationID, !authorizationID.isEmpty else { return authenticationID }
        return authorizationID
    }
}
