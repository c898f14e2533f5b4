/// ManageSieve towards the user's mail program, up to its login (RFC 5804).
final class ManageSieveClient: MailClient {
    let front: Front

    /// A dialogue over the front's stream.
    init(_ front: Front) {
        self.front = front
    }

    func greet() async throws(SessionEnd) {
        try await listCapabilities(then: "perdition \(front.identity)")
    }

    func readCredentials() async throws(SessionEnd) -> Credentials {
        while true {
            var command = try await readCommand()
            defer { command.wipe() }
            switch true {
            case ASCII.equal(command.name, "AUTHENTICATE"):
                if let credentials = try await authenticate(command) { return credentials }
            case ASCII.equal(command.name, "NOOP"): try await noop(command)
            case ASCII.equal(command.name, "CAPABILITY"):
                guard try await isAlone(command) else { continue }
                try await listCapabilities(then: "CAPABILITY completed, mate")
            case ASCII.equal(command.name, "LOGOUT"):
                guard try await isAlone(command) else { continue }
                try await ok("LOGOUT completed, mate")
                throw .loggedOut
            case ASCII.equal(command.name, "STARTTLS") && front.capabilities.offersTLS:
                guard try await isAlone(command) else { continue }
                try await startTLS()
            default: try await no("Unknown command, mate")
            }
        }
    }

    func refuse(_ refusal: Refusal) async throws(SessionEnd) {
        await front.pause()
        if let challenge = refusal.challenge { try await show(challenge) }
        if front.options.serverRespLine, let answer = refusal.answer {
            try await front.send(answer + [13, 10])
        } else if refusal == .localAuthentication {
            try await send("NO", "Authentication failure, mate")
        } else {
            try await send("NO\(code(refusal))", "failed: \(refusal.reason)")
        }
    }

    func accept(_ login: AcceptedLogin) async throws(SessionEnd) {
        if front.options.serverRespLine {
            try await front.send(login.answer + [13, 10])
        } else {
            try await ok(front.options.okLine)
        }
    }

    /// RFC 5804 section 1.2 wants a word before an idle connection is closed.
    var idleFarewell: [UInt8]? { Array("BYE \"Timeout\"\r\n".utf8) }

    // MARK: Commands

    private func listCapabilities(then text: String) async throws(SessionEnd) {
        let items = Capabilities.manageSieve(
            front.options.managesieveCapability, front.capabilities, front.mechanisms)
        var reply = Array((items + ["OK "]).joined(separator: "\r\n").utf8)
        reply += ManageSieveTokens.string(text.utf8)
        reply.append("\r\n")
        try await front.send(reply)
    }

    private func noop(_ command: ManageSieveCommand) async throws(SessionEnd) {
        guard command.arguments.count <= 1 else {
            return try await no("Too many arguments, expected NOOP [String], mate")
        }
        guard let strings = command.strings else {
            return try await no("Invalid argument, expected NOOP [String], mate")
        }
        var reply = Array("OK ".utf8)
        if let tag = strings.first {
            reply.append("(TAG ")
            reply += ManageSieveTokens.string(tag)
            reply.append(") ")
        }
        reply.append("\"NOOP completed, mate\"\r\n")
        try await front.send(reply)
    }

    private func startTLS() async throws(SessionEnd) {
        guard !front.hasInjectedText else { try await hangUp("Clear text behind STARTTLS, mate") }
        try await ok("Begin TLS negotiation, mate")
        try await front.startTLS()
        try await listCapabilities(then: "TLS negotiation completed, mate")
    }

    private func authenticate(_ command: ManageSieveCommand) async throws(SessionEnd) -> Credentials? {
        guard !command.isMalformed else {
            return try await denied("Invalid AUTHENTICATE \"PLAIN\" challenge, mate")
        }
        guard (1...2).contains(command.arguments.count) else {
            return try await denied("Incorrect argument count, expected AUTHENTICATE <mechanism> [<challenge>], mate")
        }
        guard case .string(let word) = command.arguments[0], let mechanism = Mechanism(word), offers(mechanism) else {
            return try await denied("Unknown SASL mechanism, mate")
        }
        guard let strings = command.strings else {
            return try await denied("Invalid AUTHENTICATE \"\(mechanism.rawValue)\" challenge, mate")
        }
        // Nobody is asked for a password that could not be used.
        guard strings.count == 2 || !front.capabilities.loginDisabled else {
            try await refuse(.loginDisabled)
            return nil
        }
        var exchange = SASLExchange(mechanism)
        var step = exchange.begin(strings.count == 2 ? strings[1] : nil)
        while true {
            switch step {
            case .done(let credentials): return credentials
            case .fault(let text): return try await denied(text)
            case .challenge(let text):
                try await front.send("\"\(text)\"")
                var reply = try await readCommand()
                defer { reply.wipe() }
                guard let answer = reply.answer else {
                    return try await denied("Invalid AUTHENTICATE \"\(mechanism.rawValue)\" challenge, mate")
                }
                step = exchange.take(answer)
            }
        }
    }

    /// PLAIN has always been there; an administrator who lists mechanisms means these.
    private func offers(_ mechanism: Mechanism) -> Bool {
        front.mechanisms.isEmpty ? mechanism == .plain : front.mechanisms.contains(mechanism)
    }

    /// Shows the client why the real server refuses its token, and takes the answer that goes ahead of the refusal.
    private func show(_ challenge: [UInt8]) async throws(SessionEnd) {
        try await front.send(ManageSieveTokens.string(challenge) + [13, 10])
        do throws(SessionEnd) {
            var answer = try await readCommand()
            answer.wipe()
        } catch {
            // The refusal stands, whatever the client makes of it; it is logged, and the next line ends the session.
        }
    }

    // MARK: Reading

    private func readCommand() async throws(SessionEnd) -> ManageSieveCommand {
        var words = ManageSieveTokens()
        while true {
            var line = try await readLine()
            defer { line.wipe() }
            switch words.take(line: line) {
            case .complete: return ManageSieveCommand(words)
            case .literal(let size):
                guard words.take(literal: try await front.bytes(size)) else {
                    try await hangUp("Command too long, mate")
                }
            case .tooLong: try await hangUp("Command too long, mate")
            }
        }
    }

    // MARK: Answers

    /// Whether a command stands alone; it is refused where it does not.
    private func isAlone(_ command: ManageSieveCommand) async throws(SessionEnd) -> Bool {
        if command.arguments.isEmpty, !command.isMalformed { return true }
        try await no("Too many arguments, expected \(command.name.text), mate")
        return false
    }

    private func ok(_ text: String) async throws(SessionEnd) {
        try await send("OK", text)
    }

    private func no(_ text: String) async throws(SessionEnd) {
        await front.pause()
        try await send("NO", text)
    }

    /// The same for a login, which comes to nothing.
    private func denied(_ text: String) async throws(SessionEnd) -> Credentials? {
        try await no(text)
        return nil
    }

    /// Where the client's bytes can no longer be told apart there is no way on.
    func hangUp(_ text: String) async throws(SessionEnd) -> Never {
        try await send("BYE", text)
        await front.stream.drain()
        throw .client(.lineTooLong)
    }

    private func send(_ status: String, _ text: String) async throws(SessionEnd) {
        var reply = Array("\(status) ".utf8)
        reply += ManageSieveTokens.string(text.utf8)
        reply.append("\r\n")
        try await front.send(reply)
    }

    /// The response code in front of a refusal's text, a blank ahead of it (RFC 5804 section 1.3).
    private func code(_ refusal: Refusal) -> String {
        switch refusal.kind {
        case .temporary: return " (TRYLATER)"
        case .privacy: return front.asksForPrivacy ? " (ENCRYPT-NEEDED)" : ""
        case .permanent: return ""
        case .credentials:
            // What the real server asks the user to do, the user has to know.
            let answer = ManageSieveResponse(refusal.answer ?? [])
            if answer.has(code: "AUTH-TOO-WEAK") { return " (AUTH-TOO-WEAK)" }
            return answer.has(code: "TRANSITION-NEEDED") ? " (TRANSITION-NEEDED)" : ""
        }
    }
}

extension ManageSieveResponse {
    /// Reads the beginning of a response, up to its first literal: enough for its status and its code.
    fileprivate init(_ answer: [UInt8]) {
        var words = ManageSieveTokens()
        _ = words.take(line: answer)
        self.init(words)
    }
}
