/// Who the client says it is. Names are bytes: what is not UTF-8 passes through unchanged.
struct Credentials {
    /// The name whose password this is.
    var authenticationID: [UInt8]
    /// The name to act as, where the client gave one (RFC 4616).
    var authorizationID: [UInt8]?
    /// The password.
    var password: Secret

    /// The name that decides where the user's mail is.
    var routedID: [UInt8] {
        guard let authorizationID, !authorizationID.isEmpty else { return authenticationID }
        return authorizationID
    }
}
