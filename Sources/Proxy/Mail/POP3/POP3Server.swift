/// POP3 towards the real server, up to the login (RFC 1939).
final class POP3Server: MailServer {
    /// Most lines a server may list behind CAPA.
    static let capabilityLimit = 200
    /// Longest command in bytes, line end included, that may carry an initial response (RFC 2449 section 4, RFC 5034
    /// section 4).
    static let commandLimit = 255

    private let back: Back
    /// What CAPA lists; nil where it has not been asked, or TLS has come between.
    private var listed: [[UInt8]]?

    /// A dialogue over the back's stream.
    init(_ back: Back) {
        self.back = back
    }

    func open() async throws(ServerError) {
        let line = try await back.line(doing: "reading the greeting")
        guard ASCII.begins(line, "+OK") else { throw .broken("greeted with \"\(Printable.text(line))\"") }
        try back.checkLoop(line)
        try await negotiateTLS()
        // Dovecot's offer to those it trusts stands in its greeting alone.
        guard ASCII.begins(line, "+OK [XCLIENT]"), let command = back.client?.command() else { return }
        try await back.send(Array("\(command)\r\n".utf8), doing: "sending XCLIENT")
        let answer = try await back.line(doing: "waiting for the answer to XCLIENT")
        guard ASCII.begins(answer, "+OK") else {
            throw .broken("answered XCLIENT with \"\(Printable.text(answer))\"")
        }
    }

    func logIn(_ credentials: Credentials) async throws(ServerError) -> AcceptedLogin {
        if credentials.token != nil || credentials.actsForAnother {
            return try await authenticate(credentials, by: credentials.token ?? .plain)
        }
        // A name that held a line end would be a command of its own.
        let name = credentials.authenticationID
        guard !name.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }), !credentials.password.holdsLineEnd else {
            throw .refused(.authentication(answer: []))
        }
        switch try await way() {
        case .inTurn: return try await sayUserAndPass(credentials, together: false)
        case .together:
            do throws(ServerError) {
                return try await sayUserAndPass(credentials, together: true)
            } catch {
                // It may not take both at once any more.
                if case .broken = error { back.memory?.forgetWay(to: back.remembered) }
                throw error
            }
        case .plain(let isProven): return try await sayPlain(credentials, isProven: isProven)
        }
    }

    func listCapabilities() async throws(ServerError) {
        listed = nil
        _ = try await capabilities()
    }

    func quit() async {
        await back.farewell("QUIT\r\n")
    }

    // MARK: One round trip

    /// How this server takes logins. It is asked once in a while: where it takes one in one round trip, that is one less
    /// for everybody after.
    private func way() async throws(ServerError) -> POP3Way {
        // A program for each session would ask each time.
        guard let memory = back.memory, !back.options.inetdMode else { return .inTurn }
        let server = back.remembered
        if let known = memory.way(to: server) { return known }
        // Should its connection end here, the next login is not to end like this one.
        memory.remember(.inTurn, to: server, for: POP3Way.pause)
        let way = POP3Way(try await capabilities())
        remember(way)
        return way
    }

    private func remember(_ way: POP3Way) {
        back.memory?.remember(way, to: back.remembered, for: POP3Way.lifetime)
    }

    private func sayUserAndPass(
        _ credentials: Credentials, together: Bool
    ) async throws(ServerError) -> AcceptedLogin {
        try await back.send(
            Array("USER ".utf8) + credentials.authenticationID + [13, 10], more: together, doing: "sending USER")
        if together { try await sendPass(credentials) }
        do throws(ServerError) {
            _ = try await status("waiting for the answer to USER")
        } catch {
            // The answer to PASS says nothing new, and comes ahead of all others.
            if together, case .refused = error { _ = try? await back.line(doing: "waiting for the answer to PASS") }
            guard try await wantsPlain(instead: error) else { throw error }
            return try await authenticate(credentials, by: .plain)
        }
        if !together { try await sendPass(credentials) }
        return AcceptedLogin(answer: try await status("waiting for the answer to PASS"))
    }

    private func sendPass(_ credentials: Credentials) async throws(ServerError) {
        var command: [UInt8] = []
        defer { command.wipe() }
        command.reserveCapacity(credentials.password.count + 8)
        command.append("PASS ")
        command.append(credentials.password)
        command.append("\r\n")
        try await back.send(command, doing: "sending PASS")
    }

    /// AUTH PLAIN with its initial response, and USER and PASS where it may be the command that was refused.
    private func sayPlain(_ credentials: Credentials, isProven: Bool) async throws(ServerError) -> AcceptedLogin {
        guard var command = Self.plainCommand(credentials) else {
            return try await sayUserAndPass(credentials, together: false)
        }
        defer { command.wipe() }
        var refusal: ServerError?
        do throws(ServerError) {
            try await back.send(command, doing: "sending AUTH")
            let line = try await back.line(doing: "waiting for the answer to AUTH")
            if Self.challenge(line) == nil {
                let answer = try accepted(line, "waiting for the answer to AUTH")
                if !isProven { remember(.plain(isProven: true)) }
                return AcceptedLogin(answer: answer)
            }
            // It has not seen the response, and wants it now.
            remember(.inTurn)
            try await back.send(Array("*\r\n".utf8), doing: "cancelling AUTH")
            _ = try await back.line(doing: "cancelling AUTH")
        } catch {
            if case .broken = error {
                // What it answers with the end of the connection, it is not sent again.
                remember(.inTurn)
                throw error
            }
            guard case .refused(.authentication(let answer)) = error, !Self.blamesCredentials(answer) else {
                throw error
            }
            if isProven, await listsPlain() { throw error }
            refusal = error
        }
        do throws(ServerError) {
            let login = try await sayUserAndPass(credentials, together: false)
            remember(.inTurn)
            return login
        } catch {
            // A connection that ends behind a refusal says less than the refusal.
            if case .broken = error, let refusal { throw refusal }
            throw error
        }
    }

    /// The command; nil where something is empty or not plain ASCII, or it would be too long (RFC 2449 section 4).
    private static func plainCommand(_ credentials: Credentials) -> [UInt8]? {
        let name = credentials.authenticationID
        guard !name.isEmpty, credentials.password.count > 0 else { return nil }
        let count = name.count + credentials.password.count + 2
        guard Base64.encodedSize(count) + "AUTH PLAIN \r\n".utf8.count <= commandLimit, name.allSatisfy(isPrintable),
            credentials.password.withBytes({ $0.allSatisfy(isPrintable) })
        else { return nil }
        var message: [UInt8] = []
        defer { message.wipe() }
        message.reserveCapacity(count)
        message.append(0)
        message += name
        message.append(0)
        message.append(credentials.password)
        var command: [UInt8] = []
        command.reserveCapacity(commandLimit)
        command.append("AUTH PLAIN ")
        Base64.append(message, to: &command)
        command.append("\r\n")
        return command
    }

    private static func isPrintable(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7f }

    /// Whether a refusal says that name or password are wrong, and not the command (RFC 3206 section 4).
    private static func blamesCredentials(_ answer: [UInt8]) -> Bool { ASCII.begins(answer.dropFirst(5), "[AUTH]") }

    /// Whether a server that took AUTH PLAIN before lists it now; also where it does not say.
    private func listsPlain() async -> Bool {
        listed = nil
        do throws(ServerError) {
            return POP3Way.offers(.plain, try await capabilities())
        } catch {
            return true
        }
    }

    // MARK: AUTH

    /// Whether a server that refuses USER does so because it knows AUTH PLAIN only. Asked where mechanisms are in use:
    /// elsewhere servers hear what they always heard.
    private func wantsPlain(instead error: ServerError) async throws(ServerError) -> Bool {
        guard case .refused(.authentication) = error, !back.options.saslMechanisms.isEmpty else { return false }
        let items: [[UInt8]]
        do throws(ServerError) {
            items = try await capabilities()
        } catch {
            // The refusal of USER says more than a connection that ends behind it.
            return false
        }
        return !items.contains { ASCII.equal($0, "USER") } && POP3Way.offers(.plain, items)
    }

    /// AUTH (RFC 5034), for what USER and PASS cannot carry.
    private func authenticate(
        _ credentials: Credentials, by mechanism: Mechanism
    ) async throws(ServerError) -> AcceptedLogin {
        guard POP3Way.offers(mechanism, try await capabilities()) else { throw .refused(.noMechanism) }
        guard var message = credentials.message else { throw .refused(.authentication(answer: [])) }
        defer { message.wipe() }
        var command: [UInt8] = []
        defer { command.wipe() }
        command.reserveCapacity(message.count + 32)
        command.append("AUTH ")
        command.append(contentsOf: mechanism.rawValue.utf8)
        if command.count + message.count + 3 <= Self.commandLimit {
            command.append(" ")
        } else {
            try await back.send(command + [13, 10], doing: "sending AUTH")
            guard try await challenge("waiting for the answer to AUTH") != nil else {
                throw .broken("took AUTH without a response")
            }
            command.wipe()
        }
        command += message
        command.append("\r\n")
        try await back.send(command, doing: "sending AUTH")
        return try await answer(to: mechanism)
    }

    /// The answer to a response; one to a token may have an account of what is wrong ahead of it.
    private func answer(to mechanism: Mechanism) async throws(ServerError) -> AcceptedLogin {
        let line = try await back.line(doing: "waiting for the answer to AUTH")
        guard mechanism.isToken, let account = Self.challenge(line), Base64.isText(account) else {
            return AcceptedLogin(answer: try accepted(line, "waiting for the answer to AUTH"))
        }
        try await back.send(Array("\(mechanism.emptyAnswer)\r\n".utf8), doing: "answering a challenge")
        do throws(ServerError) {
            return AcceptedLogin(answer: try await status("waiting for the answer to AUTH"))
        } catch {
            guard case .refused(let refusal) = error else { throw error }
            throw .refused(refusal.explained(by: account))
        }
    }

    /// The text of a challenge; nil for the end of an exchange.
    private func challenge(_ doing: StaticString) async throws(ServerError) -> [UInt8]? {
        let line = try await back.line(doing: doing)
        if let text = Self.challenge(line) { return text }
        _ = try accepted(line, doing)
        return nil
    }

    private static func challenge(_ line: [UInt8]) -> [UInt8]? {
        guard line.first == UInt8(ascii: "+"), !ASCII.begins(line, "+OK") else { return nil }
        return Array(line.dropFirst(line.count > 1 && line[1] == UInt8(ascii: " ") ? 2 : 1))
    }

    // MARK: Steps

    private func status(_ doing: StaticString) async throws(ServerError) -> [UInt8] {
        try accepted(try await back.line(doing: doing), doing)
    }

    private func accepted(_ line: [UInt8], _ doing: StaticString) throws(ServerError) -> [UInt8] {
        if ASCII.begins(line, "+OK") { return line }
        guard ASCII.begins(line, "-ERR") else { throw .broken("answered \"\(Printable.text(line))\" (\(doing))") }
        let text = line.dropFirst(5)
        if ASCII.begins(text, "[SYS/TEMP]") || ASCII.begins(text, "[IN-USE]") || ASCII.begins(text, "[LOGIN-DELAY]") {
            throw .refused(.realServerUnavailable(answer: line))
        }
        throw .refused(.authentication(answer: line))
    }

    private func negotiateTLS() async throws(ServerError) {
        guard back.wantsStartTLS else { return }
        guard try await capabilities().contains(where: { ASCII.equal($0, "STLS") }) else {
            return try back.startTLSMissing(.tlsMissing)
        }
        try await back.send(Array("STLS\r\n".utf8), doing: "sending STLS")
        let line = try await back.line(doing: "waiting for the answer to STLS")
        guard ASCII.begins(line, "+OK") else { throw .broken("answered STLS with \"\(Printable.text(line))\"") }
        try await back.startTLS()
        // What was said in clear text is not to be believed any more (RFC 2595 section 4).
        listed = nil
    }

    /// What the server can do; nothing where it does not know the command.
    private func capabilities() async throws(ServerError) -> [[UInt8]] {
        if let listed { return listed }
        try await back.send(Array("CAPA\r\n".utf8), doing: "sending CAPA")
        guard ASCII.begins(try await back.line(doing: "waiting for the capabilities"), "+OK") else { return [] }
        var items: [[UInt8]] = []
        for _ in 0..<Self.capabilityLimit {
            let line = try await back.line(doing: "reading the capabilities")
            if line == [UInt8(ascii: ".")] {
                listed = items
                return items
            }
            items.append(line)
        }
        throw .broken("lists more than \(Self.capabilityLimit) capabilities")
    }
}
