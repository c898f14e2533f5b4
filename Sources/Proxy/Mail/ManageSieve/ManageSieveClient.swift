/// ManageSieve towards the user's mail program, up to its login (RFC 5804).
final class ManageSieveClient: MailClient {
    private let front: Front

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
        let items = Capabilities.manageSieve(front.options.managesieveCapability, front.capabilities)
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
        guard case .string(let mechanism) = command.arguments[0], ASCII.equal(mechanism, "PLAIN") else {
            return try await denied("Unknown SASL mechanism, mate")
        }
        guard let strings = command.strings else {
            return try await denied("Invalid AUTHENTICATE \"PLAIN\" challenge, mate")
        }
        if strings.count == 2 { return try await credentials(in: strings[1]) }
        // Nobody is asked for a password that could not be used.
        guard !front.capabilities.loginDisabled else {
            try await refuse(.loginDisabled)
            return nil
        }
        try await front.send("\"\"")
        var reply = try await readCommand()
        defer { reply.wipe() }
        guard let answer = reply.answer else {
            return try await denied("Invalid AUTHENTICATE \"PLAIN\" challenge, mate")
        }
        guard answer != [UInt8(ascii: "*")] else { return try await denied("Authentication cancelled, mate") }
        return try await credentials(in: answer)
    }

    private func credentials(in response: [UInt8]) async throws(SessionEnd) -> Credentials? {
        do throws(PlainMessage.Fault) {
            return try PlainMessage.decode(response)
        } catch {
            return try await denied(Self.text(of: error))
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

    private func readLine() async throws(SessionEnd) -> [UInt8] {
        do throws(SessionEnd) {
            return try await front.line()
        } catch {
            if error == .client(.lineTooLong) { try await hangUp("Line too long, mate") }
            throw error
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
    private func hangUp(_ text: String) async throws(SessionEnd) -> Never {
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

    private static func text(of fault: PlainMessage.Fault) -> String {
        switch fault {
        case .notBase64: "Invalid base64 encoded challenge, mate"
        case .noAuthenticationID: "Challenge has no authentication id, mate"
        case .emptyAuthenticationID: "Empty authentication id, mate"
        case .noPassword: "Challenge has no password, mate"
        case .trailingGarbage: "Trailing garbage in challenge, mate"
        case .invalidAuthorizationID: "Invalid authorisation id, mate"
        case .invalidAuthenticationID: "Invalid authentication id, mate"
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
