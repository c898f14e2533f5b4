/// POP3 towards the user's mail program, up to its login (RFC 1939, RFC 2449).
final class POP3Client: MailClient {
    let front: Front
    /// The name of the last USER; forgotten after a failed login.
    private var name: [UInt8]?

    /// A dialogue over the front's stream.
    init(_ front: Front) {
        self.front = front
    }

    func greet() async throws(SessionEnd) {
        // The missing letter is the original's: loop detection and scripts compare the greeting.
        try await front.send("+OK POP3 perditon \(front.identity)")
    }

    func readCredentials() async throws(SessionEnd) -> Credentials {
        while true {
            var line = try await readLine()
            defer { line.wipe() }
            let command = line.prefix { $0 != UInt8(ascii: " ") }
            var argument = command.count < line.count ? Array(line[(command.count + 1)...]) : nil
            defer { argument?.wipe() }
            switch true {
            case command.isEmpty: try await err("Null command, mate")
            case ASCII.equal(command, "USER"): try await user(argument)
            case ASCII.equal(command, "PASS"):
                if let credentials = try await pass(argument) { return credentials }
            case ASCII.equal(command, "AUTH") && !front.mechanisms.isEmpty:
                if let credentials = try await authenticate(argument) { return credentials }
            case ASCII.equal(command, "CAPA"), ASCII.equal(command, "QUIT"), ASCII.equal(command, "STLS"):
                try await answer(Array(command.map(ASCII.upper)), argument)
            default: try await unknown(command, argument)
            }
        }
    }

    func refuse(_ refusal: Refusal) async throws(SessionEnd) {
        name = nil
        await front.pause()
        try await front.showChallenge(of: refusal)
        if front.options.serverRespLine, let answer = refusal.answer {
            try await front.send(answer + [13, 10])
        } else if refusal == .localAuthentication {
            try await front.send("-ERR [AUTH] Authentication failure, mate")
        } else {
            try await front.send("-ERR \(Self.code(refusal))failed: \(refusal.reason)")
        }
    }

    func accept(_ login: AcceptedLogin) async throws(SessionEnd) {
        if front.options.serverRespLine {
            try await front.send(login.answer + [13, 10])
        } else {
            try await front.send("+OK \(front.options.okLine)")
        }
    }

    // MARK: Commands

    private func user(_ argument: [UInt8]?) async throws(SessionEnd) {
        guard let argument, !argument.isEmpty, !argument.contains(UInt8(ascii: " ")), !argument.contains(0) else {
            return try await err("Mate, try: USER <username>")
        }
        name = argument
        var reply = Array("+OK USER ".utf8)
        reply += argument
        reply.append(" set, mate\r\n")
        try await front.send(reply)
    }

    private func pass(_ argument: [UInt8]?) async throws(SessionEnd) -> Credentials? {
        guard let name else {
            try await err("USER not yet set, mate")
            return nil
        }
        // The rest of the line: blanks belong to the password (RFC 1939 section 7).
        guard let password = argument, !password.contains(0) else {
            try await err("Mate, try: PASS <password>")
            return nil
        }
        return Credentials(authenticationID: name, authorizationID: nil, password: Secret(password))
    }

    /// AUTH, with or without an initial response, or a question for the mechanisms; nil where the client has its answer.
    private func authenticate(_ argument: [UInt8]?) async throws(SessionEnd) -> Credentials? {
        let offered = front.capabilities.loginDisabled ? [] : front.mechanisms.map(\.rawValue)
        guard let argument, !argument.isEmpty else {
            try await front.send((["+OK Mechanisms follow, mate"] + offered + ["."]).joined(separator: "\r\n"))
            return nil
        }
        switch try await exchange(argument) {
        case .credentials(let credentials): return credentials
        case .fault(let text): try await err(text)
        case .unknownMechanism: try await front.send("-ERR AUTH mechanism not supported, mate")
        case .loginDisabled: try await refuse(.loginDisabled)
        }
        return nil
    }

    private func answer(_ command: [UInt8], _ argument: [UInt8]?) async throws(SessionEnd) {
        let isSTLS = ASCII.equal(command, "STLS")
        if isSTLS, !front.options.sslMode.contains(.tlsListen) { return try await unknown(command[...], argument) }
        guard argument == nil else { return try await err("Mate, try: \(command.text)") }
        if isSTLS, front.stream.isPrivate { return try await err("TLS already active, mate") }
        if ASCII.equal(command, "CAPA") {
            let items = Capabilities.pop3(front.options.popCapability, front.capabilities, front.mechanisms)
            try await front.send((["+OK Capability list follows, mate"] + items + ["."]).joined(separator: "\r\n"))
        } else if isSTLS {
            guard !front.hasInjectedText else { try await hangUp("Clear text behind STLS, mate") }
            try await front.send("+OK Begin TLS negotiation, mate")
            name = nil
            try await front.startTLS()
        } else {
            try await front.send("+OK QUIT")
            throw .loggedOut
        }
    }

    private func unknown(_ command: ArraySlice<UInt8>, _ argument: [UInt8]?) async throws(SessionEnd) {
        let known = (front.capabilities.offersTLS ? "STLS, " : "") + "CAPA, USER, PASS or QUIT"
        // AUTH is how clients ask for mechanisms; they do so by habit, so the answer is not made to wait.
        if ASCII.isPrefix(command, of: "AUTH") {
            return try await front.send("-ERR Mate, the command must be one of \(known)")
        }
        if command.count == 4 {
            try await err("Mate, the command must be one of \(known)")
        } else {
            try await err("Mate, the command is too short, must be one of \(known)")
        }
    }

    // MARK: Answers

    /// Where the client's bytes can no longer be trusted there is no way on.
    func hangUp(_ text: String) async throws(SessionEnd) -> Never {
        try await front.send("-ERR \(text)")
        await front.stream.drain()
        throw .client(.lineTooLong)
    }

    private func err(_ text: String) async throws(SessionEnd) {
        try await front.sendLate("-ERR \(text)")
    }

    private static func code(_ refusal: Refusal) -> String {
        switch refusal.kind {
        case .credentials: "[AUTH] "
        case .temporary: "[SYS/TEMP] "
        case .permanent: "[SYS/PERM] "
        case .privacy: ""
        }
    }
}
