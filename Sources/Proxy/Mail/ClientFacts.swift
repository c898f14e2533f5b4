import Loop

/// Who a client is, for a real server that believes us: Dovecot takes it from its `login_trusted_networks`, and logs and
/// limits by it.
struct ClientFacts {
    /// The client's address.
    let source: SocketAddress
    /// The address it connected to.
    let destination: SocketAddress
    /// How many proxies more may be passed: one that sends its users in a circle comes to an end.
    let hops: Int

    /// Proxies in a row that a login may pass, when no other is ahead of us; as Dovecot counts.
    static let mostHops = 5

    /// The argument of ID (RFC 2971), with the fields that Dovecot knows.
    var identification: String {
        "(\"x-originating-ip\" \"\(source.host)\" \"x-originating-port\" \"\(source.port)\" "
            + "\"x-connected-ip\" \"\(destination.host)\" \"x-connected-port\" \"\(destination.port)\" "
            + "\"x-proxy-ttl\" \"\(hops)\")"
    }

    /// The command of POP3 and ManageSieve.
    var command: String { "XCLIENT ADDR=\(source.host) PORT=\(source.port) TTL=\(hops)" }

    /// What a proxy ahead of us says in the arguments of its ID; nil where it says nothing.
    static func hops(in arguments: [UInt8]) -> Int? {
        var parser = IMAP4Arguments(arguments.filter { $0 != UInt8(ascii: "(") && $0 != UInt8(ascii: ")") })
        while let name = parser.next(), parser.blank(), let value = parser.next() {
            if ASCII.equal(name, "X-PROXY-TTL") { return ASCII.number(value) }
            guard parser.blank() else { return nil }
        }
        return nil
    }
}
