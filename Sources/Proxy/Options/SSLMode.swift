/// Which connections are encrypted, and how: the value of `--ssl_mode`.
public struct SSLMode: OptionSet, Sendable, Hashable {
    /// One bit for each mode.
    public let rawValue: UInt8

    /// Makes a set from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `none` was said aloud, so that POP3S and IMAP4S do not bring their own mode.
    public static let off = SSLMode(rawValue: 1)
    /// Clients speak TLS from the first byte.
    public static let sslListen = SSLMode(rawValue: 2)
    /// Real servers speak TLS from the first byte.
    public static let sslOutgoing = SSLMode(rawValue: 4)
    /// Clients may ask for TLS (STARTTLS, STLS).
    public static let tlsListen = SSLMode(rawValue: 8)
    /// Real servers are asked for TLS.
    public static let tlsOutgoing = SSLMode(rawValue: 16)
    /// Clients have to ask for TLS before they log in.
    public static let tlsListenForce: SSLMode = [SSLMode(rawValue: 32), .tlsListen]
    /// No login is sent to a real server without TLS.
    public static let tlsOutgoingForce: SSLMode = [SSLMode(rawValue: 64), .tlsOutgoing]
    /// TLS from the first byte on both sides.
    public static let sslAll: SSLMode = [.sslListen, .sslOutgoing]
    /// TLS on request on both sides.
    public static let tlsAll: SSLMode = [.tlsListen, .tlsOutgoing]
    /// TLS on request on both sides, and no login without.
    public static let tlsAllForce: SSLMode = [.tlsListenForce, .tlsOutgoingForce]

    /// Everything about clients.
    static let listenSide: SSLMode = [.sslListen, .tlsListenForce]
    /// Everything about real servers.
    static let outgoingSide: SSLMode = [.sslOutgoing, .tlsOutgoingForce]

    /// Ordered so that the first match of what is left to say is the shortest spelling.
    static let names: [(SSLMode, String)] = [
        (.sslAll, "ssl_all"), (.sslListen, "ssl_listen"), (.sslOutgoing, "ssl_outgoing"),
        (.tlsAllForce, "tls_all_force"), (.tlsListenForce, "tls_listen_force"),
        (.tlsOutgoingForce, "tls_outgoing_force"), (.tlsAll, "tls_all"), (.tlsListen, "tls_listen"),
        (.tlsOutgoing, "tls_outgoing"), (.off, "none"),
    ]

    /// One mode by its name, in any case.
    init?(option text: Substring) {
        let name = text.lowercased()
        guard let found = Self.names.first(where: { $0.1 == name }) else { return nil }
        self = found.0
    }

    /// The value as it can be given to the option again.
    var optionText: String {
        var left = self == .off ? self : subtracting(.off)
        var words: [String] = []
        for (mode, name) in Self.names where left.isSuperset(of: mode) {
            left.subtract(mode)
            words.append(name)
        }
        return words.joined(separator: ",")
    }

    /// Whether one side would have to speak TLS both from the first byte and on request.
    var contradictsItself: Bool {
        isSuperset(of: [.sslListen, .tlsListen]) || isSuperset(of: [.sslOutgoing, .tlsOutgoing])
    }
}
