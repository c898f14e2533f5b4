/// A SASL mechanism that clients can log in with, and what carries it to the real server.
enum Mechanism: String, CaseIterable, Sendable {
    /// Names and password in one message (RFC 4616).
    case plain = "PLAIN"
    /// Name and password one after the other; old, and no standard, but still what some programs take first.
    case login = "LOGIN"
    /// An OAuth 2 token, as Google and Microsoft write it.
    case xoauth2 = "XOAUTH2"
    /// An OAuth 2 token, as RFC 7628 writes it.
    case oauthbearer = "OAUTHBEARER"

    /// By its name in any case; nil where it is not one of these.
    init?(_ name: some Collection<UInt8>) {
        guard let found = Self.allCases.first(where: { $0.rawValue.utf8.elementsEqual(name.lazy.map(ASCII.upper)) })
        else { return nil }
        self = found
    }

    /// Whether what it carries is a token, which only the real server can judge.
    var isToken: Bool { self == .xoauth2 || self == .oauthbearer }

    /// What answers a server's account of why it refuses a token, in Base64: nothing, or the one byte that RFC 7628
    /// section 3.2.3 asks for.
    var emptyAnswer: StaticString { self == .oauthbearer ? "AQ==" : "" }
}
