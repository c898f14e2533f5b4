import Loop

/// What a directory says about one user.
struct LDAPEntry: Equatable, Sendable {
    /// The name on the real server.
    var user: [UInt8]?
    /// The real server.
    var host: [UInt8]?
    /// Its port.
    var port: [UInt8]?

    /// The popmap's value, `[user@]host[:port]`; nil where the entry names no server.
    var value: [UInt8]? {
        guard let host, !host.isEmpty else { return nil }
        var value: [UInt8] = []
        if let user { value += user + [UInt8(ascii: "@")] }
        guard let port else { return value + host }
        // The colons of an IPv6 address would hide the one ahead of the port.
        let isIPv6 = SocketAddress(host: String(decoding: host, as: UTF8.self), port: 0)?.kind == .v6
        value += isIPv6 ? [UInt8(ascii: "[")] + host + [UInt8(ascii: "]")] : host
        return value + [UInt8(ascii: ":")] + port
    }
}
