/// One response of a ManageSieve server, as far as a proxy needs to understand it during the login.
struct ManageSieveResponse: Equatable {
    /// What it begins with.
    enum Kind: Equatable {
        /// The command is done.
        case ok
        /// The command is refused.
        case no
        /// The server closes the connection.
        case bye
        /// Strings: a capability, or a challenge.
        case data([[UInt8]])
        /// Nothing a ManageSieve server says here.
        case garbage
    }

    /// See `Kind`.
    let kind: Kind
    /// The response code in upper case, without its arguments.
    private(set) var code: [UInt8]?
    /// The text for people.
    private(set) var text: [UInt8] = []
    /// All of it as it came, without the last line end.
    let raw: [UInt8]

    /// Reads a response from its words.
    init(_ words: ManageSieveTokens) {
        raw = words.raw
        var rest = words.tokens[...]
        guard case .atom(let status)? = rest.popFirst() else {
            kind = words.isMalformed ? .garbage : Self.data(words.tokens)
            return
        }
        switch true {
        case ASCII.equal(status, "OK"): kind = .ok
        case ASCII.equal(status, "NO"): kind = .no
        case ASCII.equal(status, "BYE"): kind = .bye
        default:
            kind = .garbage
            return
        }
        // A text with bad quotes does not make a refusal any less clear, so nothing here asks for the whole grammar.
        if rest.first == .open {
            rest.removeFirst()
            if case .atom(let code)? = rest.first { self.code = code.map(ASCII.upper) }
            var depth = 1
            while depth > 0, let token = rest.popFirst() {
                if token == .open { depth += 1 }
                if token == .close { depth -= 1 }
            }
        }
        if case .string(let text)? = rest.first { self.text = text }
    }

    private static func data(_ tokens: [ManageSieveTokens.Token]) -> Kind {
        var strings: [[UInt8]] = []
        for token in tokens {
            guard case .string(let text) = token else { return .garbage }
            strings.append(text)
        }
        return strings.isEmpty ? .garbage : .data(strings)
    }

    /// Whether the response has this code, given in upper case (RFC 5804 section 1.3).
    func has(code word: StaticString) -> Bool {
        code.map { ASCII.equal($0, word) } ?? false
    }
}
