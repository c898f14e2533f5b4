/// What the workers share.
struct LDAPDirectory: Sendable {
    /// The options string.
    var location: LDAPLocation
    /// Milliseconds of a lookup.
    var patience: Int
    /// How to connect.
    var dialer = Dialer()
}
