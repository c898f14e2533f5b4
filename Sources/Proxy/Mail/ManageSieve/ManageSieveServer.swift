/// ManageSieve towards the real server, up to the login (RFC 5804).
final class ManageSieveServer: MailServer {
    /// Most capabilities a server may list.
    static let capabilityLimit = 200

    private let back: Back
    /// The mechanisms of the SASL capability, in upper case.
    private var mechanisms: [[UInt8]] = []
    private var offersTLS = false
    /// Whether it takes from us who the client is.
    private var takesClient = false
    /// What it takes of that; nil where it does not say, as Dovecot.
    private var clientFields: [[UInt8]]?

    /// A dialogue over the back's stream.
    init(_ back: Back) {
        self.back = back
    }

    func open() async throws(ServerError) {
        let greeting = try await readCapabilities("reading the greeting")
        try back.checkLoop(greeting.text)
        try await negotiateTLS()
        guard takesClient, let command = back.client?.command(for: clientFields) else { return }
        try await back.send(Array("\(command)\r\n".utf8), doing: "sending XCLIENT")
        let answer = try await read("waiting for the answer to XCLIENT")
        guard answer.kind == .ok else {
            throw .broken("answered XCLIENT with \"\(Printable.text(answer.raw))\"")
        }
    }

    private func negotiateTLS() async throws(ServerError) {
        guard back.wantsStartTLS else { return }
        guard offersTLS else { return try back.startTLSMissing(.tlsMissing) }
        try await back.send(Array("STARTTLS\r\n".utf8), doing: "sending STARTTLS")
        let answer = try await read("waiting for the answer to STARTTLS")
        guard answer.kind == .ok else {
            throw .broken("answered STARTTLS with \"\(Printable.text(answer.raw))\"")
        }
        try await back.startTLS()
        // The server says them again of itself; what was said in clear text is not to be believed (section 2.2).
        _ = try await readCapabilities("reading the capabilities after STARTTLS")
    }

    func logIn(_ credentials: Credentials) async throws(ServerError) -> AcceptedLogin {
        let mechanism = credentials.token ?? .plain
        guard mechanisms.contains(where: { $0.elementsEqual(mechanism.rawValue.utf8) }) else {
            throw .refused(.noMechanism)
        }
        try await sendAuthenticate(credentials, by: mechanism)
        var challenge: [UInt8]?
        while true {
            let answer = try await read("waiting for the answer to AUTHENTICATE")
            switch answer.kind {
            case .ok: return AcceptedLogin(answer: answer.raw)
            case .no, .bye: throw Self.refused(answer, "AUTHENTICATE", after: challenge)
            case .data(let strings)
            where mechanism.isToken && challenge == nil && strings.count == 1 && Base64.isText(strings[0]):
                challenge = strings[0]
                try await back.send(Array("\"\(mechanism.emptyAnswer)\"\r\n".utf8), doing: "answering a challenge")
            case .data, .garbage: throw .broken("answered AUTHENTICATE with \"\(Printable.text(answer.raw))\"")
            }
        }
    }

    func listCapabilities() async throws(ServerError) {
        try await back.send(Array("CAPABILITY\r\n".utf8), doing: "sending CAPABILITY")
        _ = try await readCapabilities("reading the capabilities")
    }

    func quit() async {
        await back.farewell("LOGOUT\r\n")
    }

    // MARK: Steps

    private func readCapabilities(_ doing: StaticString) async throws(ServerError) -> ManageSieveResponse {
        mechanisms = []
        offersTLS = false
        takesClient = false
        for _ in 0...Self.capabilityLimit {
            let response = try await read(doing)
            switch response.kind {
            case .data(let strings): note(strings)
            case .ok: return response
            case .no, .bye:
                if response.has(code: "TRYLATER") { throw Self.refused(response, "us") }
                throw .broken("greeted with \"\(Printable.text(response.raw))\"")
            case .garbage: throw .broken("greeted with \"\(Printable.text(response.raw))\"")
            }
        }
        throw .broken("lists more than \(Self.capabilityLimit) capabilities")
    }

    private func note(_ capability: [[UInt8]]) {
        if ASCII.equal(capability[0], "STARTTLS") { offersTLS = true }
        if ASCII.equal(capability[0], "XCLIENT") {
            takesClient = true
            let fields = capability.count > 1 ? capability[1] : []
            clientFields = fields.isEmpty ? nil : fields.split(separator: UInt8(ascii: " ")).map(Array.init)
        }
        if ASCII.equal(capability[0], "SASL"), capability.count > 1 {
            mechanisms = capability[1].split(separator: UInt8(ascii: " ")).map { $0.map(ASCII.upper) }
        }
    }

    private func sendAuthenticate(_ credentials: Credentials, by mechanism: Mechanism) async throws(ServerError) {
        guard var message = credentials.message else { throw .refused(.authentication(answer: [])) }
        defer { message.wipe() }
        var command: [UInt8] = []
        defer { command.wipe() }
        command.reserveCapacity(message.count + 64)
        command.append(contentsOf: "AUTHENTICATE \"\(mechanism.rawValue)\" ".utf8)
        if message.count <= ManageSieveTokens.quotedLimit {
            command.append("\"")
            command += message
            command.append("\"\r\n")
        } else {
            command.append(contentsOf: "{\(message.count)+}\r\n".utf8)
            command += message
            command.append("\r\n")
        }
        try await back.send(command, doing: "sending AUTHENTICATE")
    }

    private func read(_ doing: StaticString) async throws(ServerError) -> ManageSieveResponse {
        var words = ManageSieveTokens(keepsRaw: true)
        while true {
            let line = try await back.line(doing: doing)
            switch words.take(line: line) {
            case .complete: return ManageSieveResponse(words)
            case .literal(let size):
                if words.take(literal: try await back.bytes(size, doing: doing)) { continue }
                fallthrough
            case .tooLong:
                throw .broken("sent a response of more than \(ManageSieveTokens.limit) bytes (\(doing))")
            }
        }
    }

    /// What a refusal means: only one without TRYLATER is about name and password. BYE ends the connection, which is not
    /// to be passed on to a client that may try again.
    private static func refused(
        _ answer: ManageSieveResponse, _ command: StaticString, after challenge: [UInt8]? = nil
    ) -> ServerError {
        let words = answer.kind == .no ? answer.raw : []
        if answer.has(code: "TRYLATER") { return .refused(.realServerUnavailable(answer: words)) }
        if answer.has(code: "ENCRYPT-NEEDED") { return .refused(.loginDisabled) }
        if answer.kind == .bye { return .broken("said \"\(Printable.text(answer.raw))\" to \(command)") }
        return .refused(Refusal.authentication(answer: words).explained(by: challenge))
    }
}
