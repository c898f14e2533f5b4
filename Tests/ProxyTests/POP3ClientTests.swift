import CLinux
import Glibc
import Loop
import Testing

@testable import Proxy

/// What a POP3 client hears before its login.
@Suite(.timeLimit(.minutes(2))) struct POP3ClientTests {
    private static let choice = "CAPA, USER, PASS or QUIT"

    /// A command, its answer, and whether the answer is made to wait.
    private static let table: [(String, String, Bool)] = [
        ("USER joe", "+OK USER joe set, mate", false), ("user joe", "+OK USER joe set, mate", false),
        ("USER jürgen\"", "+OK USER jürgen\" set, mate", false), ("USER", "-ERR Mate, try: USER <username>", true),
        ("USER ", "-ERR Mate, try: USER <username>", true), ("USER a b", "-ERR Mate, try: USER <username>", true),
        ("USER a ", "-ERR Mate, try: USER <username>", true), ("USER a\0b", "-ERR Mate, try: USER <username>", true),
        ("PASS x", "-ERR USER not yet set, mate", true), ("PASS", "-ERR USER not yet set, mate", true),
        ("CAPA", "+OK Capability list follows, mate\r\nUIDL\r\nUSER\r\n.", false),
        ("CAPA x", "-ERR Mate, try: CAPA", true), ("capa ", "-ERR Mate, try: CAPA", true),
        ("QUIT x", "-ERR Mate, try: QUIT", true), ("NOOP", "-ERR Mate, the command must be one of \(choice)", true),
        ("APOP a b", "-ERR Mate, the command must be one of \(choice)", true),
        ("STLS", "-ERR Mate, the command must be one of \(choice)", true),
        ("TOP", "-ERR Mate, the command is too short, must be one of \(choice)", true),
        ("RETRIEVE", "-ERR Mate, the command is too short, must be one of \(choice)", true),
        ("AUTH", "-ERR Mate, the command must be one of \(choice)", false),
        ("auth PLAIN", "-ERR Mate, the command must be one of \(choice)", false),
        ("AU", "-ERR Mate, the command must be one of \(choice)", false), ("", "-ERR Null command, mate", true),
        (" USER joe", "-ERR Null command, mate", true),
    ]

    @Test func answersEachCommand() async throws {
        for (command, answer, _) in Self.table {
            let outcome = try await hold(.pop3, saying: "\(command)\r\nCAPA\r\n")
            #expect(
                outcome.heard == "\(answer)\r\n+OK Capability list follows, mate\r\nUIDL\r\nUSER\r\n.\r\n",
                "\(command.debugDescription)")
            #expect(outcome.end == .client(.closed))
        }
    }

    /// With a pause that never ends only those answers come that are not made to wait.
    @Test func faultsWait() async throws {
        try await onLoop { loop in
            for (command, answer, waits) in Self.table {
                let (near, far) = try socketPair()
                let line = Array("\(command)\r\n".utf8)
                try #require(write(far, line, line.count) == line.count)
                loop.start { loop in
                    guard let stream = try? Stream(near, on: loop) else { return }
                    let front = Front(stream: stream, options: Options(), identity: "", pauseLength: 1 << 40)
                    _ = try? await POP3Client(front).readCredentials()
                    stream.close()
                }
                await loop.turn(8)
                #expect(read(far) == (waits ? "" : "\(answer)\r\n"), "\(command.debugDescription)")
                close(far)
            }
        }
    }

    @Test func greets() async throws {
        let heard = try await hold(saying: []) { _, stream in
            let front = Front(stream: stream, options: Options(), identity: "ready on mail.example 0002c74d")
            try await POP3Client(front).greet()
        }.heard
        #expect(heard == "+OK POP3 perditon ready on mail.example 0002c74d\r\n")
    }

    @Test func quits() async throws {
        let outcome = try await hold(.pop3, saying: "USER joe\r\nQUIT\r\nPASS x\r\n")
        #expect(outcome.end == .loggedOut)
        #expect(outcome.heard == "+OK USER joe set, mate\r\n+OK QUIT\r\n")
    }

    @Test func offersTLSWhereItIs() async throws {
        let outcome = try await hold(
            .pop3, with: { $0.sslMode = .tlsListen }, saying: "CAPA\r\nSTLS x\r\nNOOP\r\nTOP\r\n")
        #expect(
            outcome.heard == """
                +OK Capability list follows, mate\r\nUIDL\r\nUSER\r\nSTLS\r\n.\r\n-ERR Mate, try: STLS\r
                -ERR Mate, the command must be one of STLS, CAPA, USER, PASS or QUIT\r
                -ERR Mate, the command is too short, must be one of STLS, CAPA, USER, PASS or QUIT\r\n
                """)
    }

    // MARK: Logins

    @Test(
        arguments: [
            ("USER joe\r\nPASS secret", "joe", "secret"), ("user joe\r\npass secret", "joe", "secret"),
            ("USER joe\r\nPASS  se cret ", "joe", " se cret "), ("USER joe\r\nPASS ", "joe", ""),
            ("USER joe\r\nPASS \"x\\\"", "joe", "\"x\\\""), ("USER ann\r\nUSER joe\r\nPASS x", "joe", "x"),
            ("USER joe\r\nPASS\r\nPASS x", "joe", "x"), ("USER joe\r\nUSER\r\nPASS x", "joe", "x"),
            ("USER joe\r\nPASS a\0b\r\nPASS pä", "joe", "pä"), ("USER \"joe\"\r\nPASS x", "\"joe\"", "x"),
        ])
    func takesNameAndPassword(input: String, name: String, password: String) async throws {
        for text in [input + "\r\n", input.replacing("\r\n", with: "\n") + "\n"] {
            #expect(try await hold(.pop3, saying: text).login == Login(name, password))
        }
    }

    @Test func refusesAPasswordThatIsMissing() async throws {
        let outcome = try await hold(.pop3, saying: "USER joe\r\nPASS\r\nPASS a\0b\r\n")
        #expect(outcome.heard == "+OK USER joe set, mate\r\n" + "-ERR Mate, try: PASS <password>\r\n" * 2)
    }

    @Test func hangsUpOnALineWithoutEnd() async throws {
        let outcome = try await hold(.pop3, saying: String(repeating: "x", count: 20_000))
        #expect(outcome.end == .client(.lineTooLong))
        #expect(outcome.heard == "-ERR Line too long, mate\r\n")
    }

    @Test func keepsWhatWasSentBehindTheLogin() async throws {
        let outcome = try await hold(.pop3, saying: "USER joe\r\nPASS secret\r\nSTAT\r\nLI")
        #expect(outcome.login == Login("joe", "secret"))
        #expect(outcome.rest == "STAT\r\nLI")
    }

    @Test func forgetsTheNameAfterARefusal() async throws {
        let result = try await hold(saying: Array("USER joe\r\nPASS x\r\nPASS y\r\n".utf8)) { _, stream in
            let client = POP3Client(Front(stream: stream, options: Options(), identity: "", pauseLength: 0))
            _ = try await client.readCredentials()
            try await client.refuse(.authentication(answer: []))
            await #expect(throws: SessionEnd.client(.closed)) { _ = try await client.readCredentials() }
        }
        #expect(
            result.heard == """
                +OK USER joe set, mate\r\n-ERR [AUTH] failed: Re-Authentication Failure\r
                -ERR USER not yet set, mate\r\n
                """)
    }

    // MARK: Answers to a login

    @Test(
        arguments: [
            (.authentication(answer: []), "[AUTH] failed: Re-Authentication Failure"),
            (.realServerUnavailable(answer: []), "[SYS/TEMP] failed: Real server unavailable"),
            (.mapUnavailable, "[SYS/TEMP] failed: Temporary lookup failure"),
            (.notConnected, "[SYS/TEMP] failed: Could not connect to server"),
            (.negotiation, "[SYS/TEMP] failed: Connection Negotiation Failure"),
            (.loginDisabled, "failed: Login Disabled"), (.noServer, "[SYS/PERM] failed: Could not determine server"),
            (.localAuthentication, "[AUTH] Authentication failure, mate"),
        ] as [(Refusal, String)])
    func saysWhyALoginFailed(refusal: Refusal, text: String) async throws {
        let outcome = try await hold(.pop3, saying: "USER joe\r\nPASS x\r\n") { try await $0.refuse(refusal) }
        #expect(outcome.heard == "+OK USER joe set, mate\r\n-ERR \(text)\r\n")
    }

    @Test func passesOnWhatTheServerSaidWhereAskedTo() async throws {
        let refused = try await hold(.pop3, with: { $0.serverRespLine = true }, saying: "USER joe\r\nPASS x\r\n") {
            try await $0.refuse(.authentication(answer: Array("-ERR go away".utf8)))
        }
        #expect(refused.heard == "+OK USER joe set, mate\r\n-ERR go away\r\n")
        let accepted = try await hold(.pop3, with: { $0.serverRespLine = true }, saying: "USER joe\r\nPASS x\r\n") {
            try await $0.accept(AcceptedLogin(answer: Array("+OK 3 messages".utf8)))
        }
        #expect(accepted.heard == "+OK USER joe set, mate\r\n+OK 3 messages\r\n")
        let own = try await hold(.pop3, saying: "USER joe\r\nPASS x\r\n") {
            try await $0.accept(AcceptedLogin(answer: Array("+OK 3 messages".utf8)))
        }
        #expect(own.heard == "+OK USER joe set, mate\r\n+OK You are so in\r\n")
    }
}

private func * (text: String, count: Int) -> String { String(repeating: text, count: count) }
