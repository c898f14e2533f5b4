/// One of the log lines for POP before SMTP, read as the manual of the original describes them.
struct PopBeforeSMTP: Equatable {
    enum Kind: String {
        case connect = "Connect:"
        case auth = "Auth:"
        /// The manual has `Close:`; what the program of the manual wrote, and ours does, is this.
        case close = "Closing session:"
    }

    let kind: Kind
    /// Addresses and ports of the client and of the proxy.
    let source: String
    let destination: String
    /// NAME=VALUE, quotes taken off.
    let fields: [String: String]

    /// The client's address without its port, which a mail server is to relay for.
    var address: String { String(source[..<(source.lastIndex(of: ":") ?? source.endIndex)]) }

    /// Nil if it is another line, or not as the manual says.
    init?(_ line: String) {
        let kinds = [Kind.connect, .auth, .close]
        guard let kind = kinds.first(where: { line.hasPrefix($0.rawValue + " ") }) else { return nil }
        var rest = line.dropFirst(kind.rawValue.count).drop { $0 == " " }
        let fromTo = rest.prefix { $0 != " " }
        guard let arrow = fromTo.firstRange(of: "->") else { return nil }
        let ends = [fromTo[..<arrow.lowerBound], fromTo[arrow.upperBound...]]
        // Whatever stands ahead of the last colon is the address.
        guard ends.allSatisfy({ $0.split(separator: ":").last.flatMap { UInt16($0) } != nil }) else { return nil }
        self.kind = kind
        source = String(ends[0])
        destination = String(ends[1])
        rest = rest.dropFirst(fromTo.count)

        var fields: [String: String] = [:]
        while true {
            rest = rest.drop { $0 == " " }
            guard !rest.isEmpty else { break }
            guard let equals = rest.firstIndex(of: "="), let value = Self.value(&rest, after: equals) else {
                return nil
            }
            fields[value.name] = value.text
        }
        self.fields = fields
        guard Self.names(kind).isSubset(of: fields.keys) else { return nil }
        let secure = ["client-secure", "server-secure"].compactMap { fields[$0] }
        guard secure.allSatisfy(["ssl", "starttls", "plaintext"].contains) else { return nil }
    }

    /// What may not be missing.
    private static func names(_ kind: Kind) -> Set<String> {
        switch kind {
        case .connect: []
        case .auth:
            [
                "client-secure", "authorisation_id", "authentication_id", "server", "protocol", "server-secure",
                "status",
            ]
        case .close: ["authorisation_id", "authentication_id", "received", "sent"]
        }
    }

    /// Takes one NAME=VALUE off; nil for a quote without end.
    private static func value(
        _ rest: inout Substring, after equals: Substring.Index
    ) -> (name: String, text: String)? {
        let name = String(rest[..<equals])
        var text = rest[rest.index(after: equals)...]
        guard text.first == "\"" else {
            let bare = text.prefix { $0 != " " }
            rest = text.dropFirst(bare.count)
            return (name, String(bare))
        }
        text = text.dropFirst()
        var inside = ""
        while let character = text.popFirst() {
            if character == "\"" {
                rest = text
                return (name, inside)
            }
            guard character == "\\" else {
                inside.append(character)
                continue
            }
            guard let escaped = text.popFirst() else { return nil }
            inside.append(escaped)
        }
        return nil
    }
}

/// The table a mail server looks clients up in.
struct RelayTable {
    private var sessions: [String: String] = [:]
    /// Lines that begin like one of ours and are not.
    private(set) var misread: [String] = []

    /// Whom to relay for: addresses with a session.
    var allowed: Set<String> { Set(sessions.values) }

    mutating func read(_ lines: [String]) {
        for line in lines {
            guard let event = PopBeforeSMTP(line) else {
                if ["Auth", "Connect", "Clos"].contains(where: line.hasPrefix) { misread.append(line) }
                continue
            }
            switch event.kind {
            case .connect: break
            case .auth: if event.fields["status"] == "ok" { sessions[event.source] = event.address }
            case .close: sessions[event.source] = nil
            }
        }
    }
}
