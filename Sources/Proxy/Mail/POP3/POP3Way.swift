/// How a server of POP3 takes a name and a password.
enum POP3Way: Equatable {
    /// USER, and PASS behind its answer (RFC 1939 section 7).
    case inTurn
    /// USER and PASS at once (RFC 2449 section 6.6).
    case together
    /// AUTH PLAIN with its initial response (RFC 5034 section 4). It is proven once a login has come in by it: there are
    /// servers that list PLAIN and take it in two steps only.
    case plain(isProven: Bool)

    /// Milliseconds that a way is good for. A server that has changed says so by what it answers.
    static let lifetime: UInt64 = 3_600_000
    /// Milliseconds that a server is not asked again whose connection ended when it was asked.
    static let pause: UInt64 = 86_400_000

    /// The shortest way by what CAPA lists. One that does not list USER would not take it, and gets no password by it.
    init(_ items: [[UInt8]]) {
        let takesUser = items.contains { ASCII.equal($0, "USER") }
        if takesUser, items.contains(where: { ASCII.equal($0, "PIPELINING") }) {
            self = .together
        } else {
            self = Self.offers(.plain, items) ? .plain(isProven: false) : .inTurn
        }
    }

    /// Whether CAPA lists a mechanism.
    static func offers(_ mechanism: Mechanism, _ items: [[UInt8]]) -> Bool {
        items.contains { item in
            let words = item.split(separator: UInt8(ascii: " "))
            return words.first.map { ASCII.equal($0, "SASL") } ?? false
                && words.dropFirst().contains { Mechanism($0) == mechanism }
        }
    }
}
