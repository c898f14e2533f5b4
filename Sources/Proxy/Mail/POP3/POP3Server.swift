/// POP3 towards the real server, up to the login (RFC 1939).
final class POP3Server: MailServer {
    /// Most lines a server may list behind CAPA.
    static let capabilityLimit = 200

    private let back: Back

    /// A dialogue over the back's stream.
    init(_ back: Back) {
        self.back = back
    }

    func open() async throws(ServerError) {
        let line = try await back.line(doing: "reading the greeting")
        guard ASCII.begins(line, "+OK") else { throw .broken("greeted with \"\(Printable.text(line))\"") }
        try back.checkLoop(line)
        try await negotiateTLS()
    }

    func logIn(_ credentials: Credentials) async throws(ServerError) -> AcceptedLogin {
        // A name that held a line end would be a command of its own.
        let name = credentials.authenticationID
        guard !name.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) else {
            throw .refused(.authentication(answer: []))
        }
        try await back.send(Array("USER ".utf8) + name + [13, 10], doing: "sending USER")
        _ = try await status("waiting for the answer to USER")
        var command: [UInt8] = []
        defer { command.wipe() }
        command.reserveCapacity(credentials.password.count + 8)
        command.append("PASS ")
        command.append(credentials.password)
        command.append("\r\n")
        try await back.send(command, doing: "sending PASS")
        return AcceptedLogin(answer: try await status("waiting for the answer to PASS"))
    }

    func listCapabilities() async throws(ServerError) { _ = try await offersSTLS() }

    func quit() async {
        await back.farewell("QUIT\r\n")
    }

    private func status(_ doing: StaticString) async throws(ServerError) -> [UInt8] {
        let line = try await back.line(doing: doing)
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
        guard try await offersSTLS() else { return try back.startTLSMissing(.tlsMissing) }
        try await back.send(Array("STLS\r\n".utf8), doing: "sending STLS")
        let line = try await back.line(doing: "waiting for the answer to STLS")
        guard ASCII.begins(line, "+OK") else { throw .broken("answered STLS with \"\(Printable.text(line))\"") }
        try await back.startTLS()
    }

    private func offersSTLS() async throws(ServerError) -> Bool {
        try await back.send(Array("CAPA\r\n".utf8), doing: "sending CAPA")
        guard ASCII.begins(try await back.line(doing: "waiting for the capabilities"), "+OK") else { return false }
        var offered = false
        for _ in 0..<Self.capabilityLimit {
            let line = try await back.line(doing: "reading the capabilities")
            if line == [UInt8(ascii: ".")] { return offered }
            if ASCII.equal(line, "STLS") { offered = true }
        }
        throw .broken("lists more than \(Self.capabilityLimit) capabilities")
    }
}
