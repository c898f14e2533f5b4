/// IMAP4 towards the real server, up to the login (RFC 9051, RFC 3501).
///
/// One round trip where the names allow it: quoted strings need no capability, so LOGIN leaves whole.
final class IMAP4Server: MailServer {
    /// Most bytes of untagged responses kept for the client between LOGIN and its answer.
    static let untaggedLimit = 64 * 1024
    /// Most untagged responses a server may send before the answer to CAPABILITY, or a continuation request.
    static let untaggedLines = 200

    private let back: Back
    @exclusivity(unchecked) private var capabilities: [[UInt8]]?
    @exclusivity(unchecked) private var sequence = 7

    /// A dialogue over the back's stream.
    init(_ back: Back) {
        self.back = back
    }

    func open() async throws(ServerError) {
        let line = try await back.line(doing: "reading the greeting")
        let greeting = IMAP4Response(line, tag: [])
        guard case .untagged(let text) = greeting, ASCII.equal(text.prefix { $0 != UInt8(ascii: " ") }, "OK") else {
            throw .broken("greeted with \"\(Printable.text(line))\"")
        }
        try back.checkLoop(line)
        capabilities = IMAP4Response.capabilities(in: text)
        try await negotiateTLS()
        try await recallCapabilities()
        if let client = back.client { try await identify(client) }
    }

    /// Says who the client is (RFC 2971). A server that does not believe us, or does not care, says OK as well.
    private func identify(_ client: ClientFacts) async throws(ServerError) {
        if capabilities == nil { try await askCapabilities() }
        guard has("ID") else { return }
        let tag = nextTag()
        try await back.send(tag + Array(" ID \(client.identification)\r\n".utf8), doing: "sending ID")
        for _ in 0..<Self.untaggedLines {
            let line = try await back.line(doing: "waiting for the answer to ID")
            switch IMAP4Response(line, tag: tag) {
            case .untagged: continue
            case .completed, .refused: return
            case .continuation, .garbage: throw .broken("answered ID with \"\(Printable.text(line))\"")
            }
        }
        throw .broken("sent more than \(Self.untaggedLines) lines before the answer to ID")
    }

    /// A server that does not say in its greeting what it can do is asked once in a while: it may say LOGINDISABLED, and a
    /// password must not be sent to one that does.
    private func recallCapabilities() async throws(ServerError) {
        guard capabilities == nil, !back.stream.isPrivate else { return }
        if let known = back.memory?.capabilities(of: back.remembered) {
            capabilities = known
        } else {
            try await askCapabilities()
            back.memory?.remember(capabilities ?? [], of: back.remembered)
        }
    }

    func logIn(_ credentials: Credentials) async throws(ServerError) -> AcceptedLogin {
        let mechanism = try await mechanism(for: credentials)
        let tag = nextTag()
        if let mechanism {
            try await sendAuthenticate(credentials, by: mechanism, tag: tag)
        } else {
            try await sendLogin(credentials, tag: tag)
        }
        var untagged: [UInt8] = []
        var challenge: [UInt8]?
        while true {
            let line = try await back.line(doing: "waiting for the answer to LOGIN")
            switch IMAP4Response(line, tag: tag) {
            case .completed(let answer): return AcceptedLogin(answer: answer, untagged: untagged)
            case .refused(let answer): throw .refused(Self.refusal(answer).explained(by: challenge))
            case .continuation(let text) where credentials.token != nil && challenge == nil && Base64.isText(text):
                challenge = text
                try await back.send(
                    Array("\(credentials.token?.emptyAnswer ?? "")\r\n".utf8), doing: "answering a challenge")
            case .untagged(let text):
                if ASCII.begins(text, "BYE") { throw .broken("said \"\(Printable.text(line))\" to LOGIN") }
                guard untagged.count + line.count <= Self.untaggedLimit else {
                    throw .broken("sent more than \(Self.untaggedLimit) bytes before the answer to LOGIN")
                }
                untagged += line
                untagged.append("\r\n")
            case .continuation, .garbage: throw .broken("answered LOGIN with \"\(Printable.text(line))\"")
            }
        }
    }

    func listCapabilities() async throws(ServerError) { try await askCapabilities() }

    func quit() async {
        await back.farewell("\(nextTag().text) LOGOUT\r\n")
    }

    // MARK: Steps

    /// The mechanism that has to carry these credentials; nil for LOGIN, which takes most.
    private func mechanism(for credentials: Credentials) async throws(ServerError) -> Mechanism? {
        guard credentials.token != nil || credentials.actsForAnother || has("LOGINDISABLED") else { return nil }
        if capabilities == nil { try await askCapabilities() }
        let mechanism = credentials.token ?? .plain
        if has("AUTH=\(mechanism.rawValue)") { return mechanism }
        throw .refused(has("LOGINDISABLED") ? .loginDisabled : .noMechanism)
    }

    private func sendAuthenticate(
        _ credentials: Credentials, by mechanism: Mechanism, tag: [UInt8]
    ) async throws(ServerError) {
        guard var message = credentials.message else { throw .refused(.authentication(answer: [])) }
        defer { message.wipe() }
        var command = tag
        defer { command.wipe() }
        command.reserveCapacity(message.count + 64)
        command.append(contentsOf: " AUTHENTICATE \(mechanism.rawValue)".utf8)
        if has("SASL-IR") {
            command.append(" ")
        } else {
            command.append("\r\n")
            try await back.send(command, doing: "sending AUTHENTICATE")
            command.wipe()
            try await waitForContinuation(tag)
        }
        command += message
        command.append("\r\n")
        try await back.send(command, doing: "sending AUTHENTICATE")
    }

    private func sendLogin(_ credentials: Credentials, tag: [UInt8]) async throws(ServerError) {
        var command: [UInt8] = []
        defer { command.wipe() }
        command.reserveCapacity(64 + 2 * credentials.authenticationID.count + 2 * credentials.password.count)
        command.append(contentsOf: tag)
        command.append(" LOGIN ")
        let name = credentials.authenticationID
        try await append(UnsafeArgument(name.withUnsafeBytes(Self.form), name.count), to: &command, tag: tag) {
            $0.append(contentsOf: name)
        }
        command.append(" ")
        let password = credentials.password
        try await append(UnsafeArgument(password.withBytes(Self.form), password.count), to: &command, tag: tag) {
            $0.append(password)
        }
        command.append("\r\n")
        try await back.send(command, doing: "sending LOGIN")
    }

    /// How an argument must be written.
    private enum Form { case quoted, literal }

    private struct UnsafeArgument {
        let form: Form
        let count: Int
        init(_ form: Form, _ count: Int) {
            self.form = form
            self.count = count
        }
    }

    /// A quoted string holds 7-bit characters without quotes to escape; everything else is safest as a literal.
    private static func form(_ bytes: UnsafeRawBufferPointer) -> Form {
        bytes.count <= 1024
            && bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
            ? .quoted : .literal
    }

    private func append(
        _ argument: UnsafeArgument, to command: inout [UInt8], tag: [UInt8], _ bytes: (inout [UInt8]) -> Void
    ) async throws(ServerError) {
        switch argument.form {
        case .quoted:
            command.append("\"")
            bytes(&command)
            command.append("\"")
        case .literal:
            let ahead = has("LITERAL+") || has("LITERAL-")
            command.append(contentsOf: Array("{\(argument.count)\(ahead ? "+" : "")}\r\n".utf8))
            if !ahead {
                try await back.send(command, doing: "sending LOGIN")
                command.wipe()
                try await waitForContinuation(tag)
            }
            bytes(&command)
        }
    }

    private func waitForContinuation(_ tag: [UInt8]) async throws(ServerError) {
        for _ in 0..<Self.untaggedLines {
            let line = try await back.line(doing: "waiting for a continuation request")
            switch IMAP4Response(line, tag: tag) {
            case .continuation: return
            case .refused(let answer): throw .refused(Self.refusal(answer))
            case .untagged: continue
            case .completed, .garbage: throw .broken("answered a literal with \"\(Printable.text(line))\"")
            }
        }
        throw .broken("sent more than \(Self.untaggedLines) lines before a continuation request")
    }

    private func negotiateTLS() async throws(ServerError) {
        guard back.wantsStartTLS else { return }
        if capabilities == nil { try await askCapabilities() }
        guard has("STARTTLS") else { return try back.startTLSMissing(.negotiation) }
        let tag = nextTag()
        try await back.send(tag + Array(" STARTTLS\r\n".utf8), doing: "sending STARTTLS")
        let line = try await back.line(doing: "waiting for the answer to STARTTLS")
        guard case .completed = IMAP4Response(line, tag: tag) else {
            throw .broken("answered STARTTLS with \"\(Printable.text(line))\"")
        }
        try await back.startTLS()
        // What was said in clear text is not to be believed any more (RFC 9051 section 6.2.1).
        try await askCapabilities()
    }

    private func askCapabilities() async throws(ServerError) {
        let tag = nextTag()
        try await back.send(tag + Array(" CAPABILITY\r\n".utf8), doing: "sending CAPABILITY")
        capabilities = nil
        for _ in 0..<Self.untaggedLines {
            let line = try await back.line(doing: "waiting for the capabilities")
            switch IMAP4Response(line, tag: tag) {
            case .untagged(let text): capabilities = IMAP4Response.capabilities(in: text) ?? capabilities
            case .completed: return
            default: throw .broken("answered CAPABILITY with \"\(Printable.text(line))\"")
            }
        }
        throw .broken("sent more than \(Self.untaggedLines) lines before the answer to CAPABILITY")
    }

    /// Whether the server has a capability, given in upper case, as they are kept.
    private func has(_ word: String) -> Bool {
        let length = word.utf8.count
        return capabilities?.contains { $0.count == length && $0.elementsEqual(word.utf8) } ?? false
    }

    private static let digits = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

    private func nextTag() -> [UInt8] {
        let digits = Self.digits
        defer { sequence += 1 }
        return [
            UInt8(ascii: "f"), UInt8(ascii: "l"), UInt8(ascii: "i"), UInt8(ascii: "m"),
            digits[sequence / digits.count % digits.count], digits[sequence % digits.count],
        ]
    }

    private static func refusal(_ answer: [UInt8]) -> Refusal {
        guard let code = IMAP4Response.code(of: answer) else { return .authentication(answer: answer) }
        switch true {
        case ASCII.equal(code, "UNAVAILABLE"), ASCII.equal(code, "SERVERBUG"), ASCII.equal(code, "INUSE"),
            ASCII.equal(code, "LIMIT"):
            return .realServerUnavailable(answer: answer)
        default: return .authentication(answer: answer)
        }
    }
}
