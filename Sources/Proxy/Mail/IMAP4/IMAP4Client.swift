/// IMAP4 towards the user's mail program, up to its login (RFC 9051, RFC 3501).
final class IMAP4Client: MailClient {
    /// Largest literal in bytes that a name or a password may be.
    static let literalLimit = 4096

    let front: Front
    /// The tag of the LOGIN that is being worked on.
    @exclusivity(unchecked) private var tag: [UInt8] = []
    @exclusivity(unchecked) private(set) var hops = ClientFacts.mostHops

    /// A dialogue over the front's stream.
    init(_ front: Front) {
        self.front = front
    }

    func greet() async throws(SessionEnd) {
        let capabilities = capabilities
        try await front.send(
            LineText.make(capacity: capabilities.utf8.count + front.identity.utf8.count + 32) { text in
                text.append("* OK [CAPABILITY ")
                text.append(capabilities)
                text.append("] perdition ")
                text.append(front.identity)
            })
    }

    func readCredentials() async throws(SessionEnd) -> Credentials {
        while true {
            var line = try await readLine()
            defer { line.wipe() }
            var command: IMAP4Command
            do throws(IMAP4Command.Fault) {
                command = try IMAP4Command(line: line)
            } catch {
                try await swallowLiterals(of: line)
                try await complain(about: error)
                continue
            }
            defer { command.rest?.wipe() }
            tag = command.tag
            if ASCII.equal(command.name, "LOGIN") {
                // The only copy, so that wiping it leaves none.
                var arguments = command.rest.take() ?? []
                defer { arguments.wipe() }
                if let credentials = try await login(&arguments) { return credentials }
                try await bad("Mate, try LOGIN <username> <passwd>")
                continue
            }
            try await swallowLiterals(of: line, asking: ASCII.equal(command.name, "ID"))
            if ASCII.equal(command.name, "AUTHENTICATE"), !front.mechanisms.isEmpty {
                // The only copy here as well.
                var argument = command.rest.take() ?? []
                defer { argument.wipe() }
                if let credentials = try await authenticate(argument) { return credentials }
                continue
            }
            try await answer(command)
        }
    }

    func refuse(_ refusal: Refusal) async throws(SessionEnd) {
        await front.pause()
        try await front.showChallenge(of: refusal)
        if front.options.serverRespLine, let answer = refusal.answer {
            try await front.send(tagged(answer))
        } else if refusal == .localAuthentication {
            try await front.send("\(tag.text) NO [AUTHENTICATIONFAILED] Authentication failure")
        } else {
            try await front.send("\(tag.text) NO \(code(refusal))failed: \(refusal.reason)")
        }
    }

    func accept(_ login: AcceptedLogin) async throws(SessionEnd) {
        var reply = login.untagged
        if front.options.serverRespLine {
            reply += tagged(login.answer)
        } else {
            let line = front.options.okLine.utf8
            let code = front.options.serverCapability ? IMAP4Response.capabilityCode(of: login.answer) : []
            reply.reserveCapacity(reply.count + tag.count + code.count + line.count + 6)
            reply.append(contentsOf: tag)
            reply.append(" OK ")
            reply.append(contentsOf: code)
            reply.append(contentsOf: line)
            reply.append("\r\n")
        }
        try await front.send(reply)
    }

    // MARK: Commands

    private var capabilities: String { front.settings.imapCapabilities(front.capabilities) }

    private func answer(_ command: IMAP4Command) async throws(SessionEnd) {
        let name = command.name
        switch true {
        case ASCII.equal(name, "NOOP"), ASCII.equal(name, "CAPABILITY"), ASCII.equal(name, "LOGOUT"),
            ASCII.equal(name, "STARTTLS"):
            guard command.rest == nil else {
                return try await bad("Argument given to \(name.text) but there shouldn't be one, mate")
            }
            try await answerPlain(name)
        case ASCII.equal(name, "AUTHENTICATE"):
            guard let rest = command.rest, !rest.isEmpty, !rest.contains(UInt8(ascii: " ")) else {
                return try await bad("Mate, try AUTHENTICATE <mechanism>")
            }
            try await front.send("\(tag.text) NO AUTHENTICATE mechanism not supported, mate")
        case ASCII.equal(name, "ID"):
            guard let rest = command.rest, rest.first == UInt8(ascii: "(") || ASCII.equal(rest, "NIL") else {
                return try await bad("Mate, try ID NIL")
            }
            // A proxy ahead of us counts; nobody gets more than anybody has.
            if let hops = ClientFacts.hops(in: rest) { self.hops = min(hops, ClientFacts.mostHops) }
            try await front.send("* ID (\"name\" \"perdition\")\r\n\(tag.text) OK ID")
        default: try await bad("Unrecognised command, mate")
        }
    }

    /// AUTHENTICATE, with or without an initial response; nil where the client has its answer already.
    private func authenticate(_ argument: [UInt8]) async throws(SessionEnd) -> Credentials? {
        guard !argument.isEmpty else {
            try await bad("Mate, try AUTHENTICATE <mechanism>")
            return nil
        }
        switch try await exchange(argument) {
        case .credentials(let credentials): return credentials
        case .fault(let text): try await bad(text)
        case .unknownMechanism:
            try await front.send("\(tag.text) NO AUTHENTICATE mechanism not supported, mate")
        case .loginDisabled: try await refuse(.loginDisabled)
        }
        return nil
    }

    private func answerPlain(_ name: [UInt8]) async throws(SessionEnd) {
        switch true {
        case ASCII.equal(name, "NOOP"): try await front.send("\(tag.text) OK NOOP")
        case ASCII.equal(name, "CAPABILITY"):
            try await front.send("* CAPABILITY \(capabilities)\r\n\(tag.text) OK CAPABILITY")
        case ASCII.equal(name, "LOGOUT"):
            try await front.send("* BYE IMAP4 server logging out, mate\r\n\(tag.text) OK LOGOUT")
            throw .loggedOut
        default: try await startTLS()
        }
    }

    private func startTLS() async throws(SessionEnd) {
        guard front.options.sslMode.contains(.tlsListen) else { return try await bad("STARTTLS disabled, mate") }
        guard !front.stream.isPrivate else { return try await bad("SSL already active, mate") }
        guard !front.hasInjectedText else { try await hangUp("Clear text behind STARTTLS, mate") }
        try await front.send("\(tag.text) OK Begin TLS negotiation now")
        try await front.startTLS()
    }

    /// Collects the two arguments of LOGIN, literals included; nil where they are not two, or cannot be.
    private func login(_ line: inout [UInt8]) async throws(SessionEnd) -> Credentials? {
        var arguments: [[UInt8]] = []
        defer { for index in arguments.indices { arguments[index].wipe() } }
        var continued = false
        while true {
            let literal = Self.argumentLiteral(atEndOf: line, continued: continued)
            // Not kept in a variable: while a second one held the line, wiping it would wipe a copy.
            guard
                let found = Self.arguments(
                    line[..<(literal?.start ?? line.count)], continued: continued, more: literal != nil),
                arguments.count + found.count + (literal == nil ? 0 : 1) <= 2
            else {
                try await swallowLiterals(of: line)
                return nil
            }
            if arguments.isEmpty { arguments = found } else { arguments += found }
            guard let literal else { break }
            guard literal.literal.size <= Self.literalLimit else {
                if !literal.literal.synchronising { try await hangUp("Literal too large, mate") }
                return nil
            }
            if literal.literal.synchronising { try await front.send("+ OK ready for additional input") }
            arguments.append(try await front.bytes(literal.literal.size))
            line.wipe()
            line = try await readLine()
            continued = true
        }
        guard arguments.count == 2, !arguments[0].contains(0), !arguments[1].contains(0) else {
            try await swallowLiterals(of: line)
            return nil
        }
        return Credentials(authenticationID: arguments[0], authorizationID: nil, password: Secret(arguments[1]))
    }

    /// The arguments of one line up to its end or its literal.
    /// - Parameters:
    ///   - continued: the line follows a literal, so a blank leads.
    ///   - more: a literal follows, so a blank ends it.
    private static func arguments(_ text: ArraySlice<UInt8>, continued: Bool, more: Bool) -> [[UInt8]]? {
        var found: [[UInt8]] = []
        var parser = IMAP4Arguments(text)
        if continued, !parser.atEnd {
            guard parser.blank() else { return nil }
            if parser.atEnd { return more ? found : nil }
        }
        while !parser.atEnd {
            guard found.count < 3, let argument = parser.next() else { return nil }
            found.append(argument)
            if parser.atEnd { return more ? nil : found }
            guard parser.blank() else { return nil }
            if parser.atEnd, !more { return nil }
        }
        return found
    }

    /// A literal that is an argument of its own, not the end of a longer one.
    private static func argumentLiteral(
        atEndOf line: [UInt8], continued: Bool
    ) -> (literal: IMAP4Command.Literal, start: Int)? {
        guard let found = IMAP4Command.literal(atEndOf: line),
            found.start == 0 ? !continued : line[found.start - 1] == UInt8(ascii: " ")
        else { return nil }
        return found
    }

    /// Reads what a refused command sends without waiting, so that it is not taken for commands.
    /// - Parameter asking: the command is not refused, only its arguments mean nothing here: a client that waits is told
    ///   to go on.
    private func swallowLiterals(of line: [UInt8], asking: Bool = false) async throws(SessionEnd) {
        var last = line
        while let (literal, _) = IMAP4Command.literal(atEndOf: last), asking || !literal.synchronising {
            guard literal.size <= Self.literalLimit else { try await hangUp("Literal too large, mate") }
            if literal.synchronising { try await front.send("+ OK ready for additional input") }
            var bytes = try await front.bytes(literal.size)
            bytes.wipe()
            last = try await readLine()
        }
    }

    // MARK: Answers

    private func complain(about fault: IMAP4Command.Fault) async throws(SessionEnd) {
        switch fault {
        case .invalidTag: try await front.sendLate("* BAD Invalid tag, mate")
        case .missingCommand(let tag): try await front.sendLate("\(tag.text) BAD Missing command, mate")
        case .nullCommand(let tag): try await front.sendLate("\(tag.text) BAD Null command, mate")
        }
    }

    private func bad(_ text: String) async throws(SessionEnd) {
        try await front.sendLate("\(tag.text) BAD \(text)")
    }

    /// Where the client's bytes can no longer be told apart there is no way on.
    func hangUp(_ text: String) async throws(SessionEnd) -> Never {
        try await front.send("* BYE \(text)")
        await front.stream.drain()
        throw .client(.lineTooLong)
    }

    private func tagged(_ response: [UInt8]) -> [UInt8] {
        var line = tag
        line.append(" ")
        line.append(contentsOf: response)
        line.append("\r\n")
        return line
    }

    private func code(_ refusal: Refusal) -> String {
        switch refusal.kind {
        case .credentials: "[AUTHENTICATIONFAILED] "
        case .temporary: "[UNAVAILABLE] "
        case .privacy: front.asksForPrivacy ? "[PRIVACYREQUIRED] " : ""
        case .permanent: ""
        }
    }
}
