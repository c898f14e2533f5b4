import Loop

/// Who a client is, for a real server that believes us: Dovecot takes it from its `login_trusted_networks`, and logs and
/// limits by it.
struct ClientFacts {
    /// The client's address, and the one it connected to; nil where they are not to be told.
    let addresses: (source: SocketAddress, destination: SocketAddress)?
    /// What the log calls this login (`--forward_session_id`); nil where it has no name.
    let session: String?
    /// How many proxies more may be passed: one that sends its users in a circle comes to an end.
    let hops: Int

    /// Proxies in a row that a login may pass, when no other is ahead of us; as Dovecot counts.
    static let mostHops = 5

    /// The argument of ID (RFC 2971), with the fields that Dovecot knows.
    var identification: String {
        var fields: [(String, String)] = []
        if let session { fields.append(("x-session-id", session)) }
        if let (source, destination) = addresses {
            fields += [
                ("x-originating-ip", source.host), ("x-originating-port", "\(source.port)"),
                ("x-connected-ip", destination.host), ("x-connected-port", "\(destination.port)"),
            ]
        }
        fields.append(("x-proxy-ttl", "\(hops)"))
        return "(\(fields.map { "\"\($0.0)\" \"\($0.1)\"" }.joined(separator: " ")))"
    }

    /// The command of POP3 and ManageSieve; nil where the server would take nothing of it.
    /// - Parameter known: what it says it takes; nil where it does not say.
    func command(for known: [[UInt8]]? = nil) -> String? {
        var words: [String] = []
        if let (source, _) = addresses { words += ["ADDR=\(source.host)", "PORT=\(source.port)"] }
        if let session, known?.contains(where: { ASCII.equal($0, "SESSION") }) != false {
            words.append("SESSION=\(session)")
        }
        return words.isEmpty ? nil : "XCLIENT \(words.joined(separator: " ")) TTL=\(hops)"
    }

    /// A name for a login that no other has: letters and digits.
    static func newSession() -> String { String(UInt64.random(in: .min ... .max), radix: 36) }

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
