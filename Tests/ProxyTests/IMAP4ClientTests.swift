import CLinux
import Glibc
import Loop
import Testing

@testable import Proxy

/// What an IMAP4 client hears before its login.
@Suite(.timeLimit(.minutes(2))) struct IMAP4ClientTests {
    /// A command, its answer, and whether the answer is made to wait.
    private static let table: [(String, String, Bool)] =
        [
            ("a NOOP", "a OK NOOP", false), ("a nOOp", "a OK NOOP", false), ("+ NOOP", "+ OK NOOP", false),
            ("a CAPABILITY", "* CAPABILITY IMAP4 IMAP4REV1\r\na OK CAPABILITY", false),
            ("a NOOP x", "a BAD Argument given to NOOP but there shouldn't be one, mate", true),
            ("a NOOP ", "a BAD Argument given to NOOP but there shouldn't be one, mate", true),
            ("a capability x", "a BAD Argument given to CAPABILITY but there shouldn't be one, mate", true),
            ("a LOGOUT x", "a BAD Argument given to LOGOUT but there shouldn't be one, mate", true),
            ("a STARTTLS x", "a BAD Argument given to STARTTLS but there shouldn't be one, mate", true),
            ("a STARTTLS", "a BAD STARTTLS disabled, mate", true),
            ("a AUTHENTICATE PLAIN", "a NO AUTHENTICATE mechanism not supported, mate", false),
            ("a AUTHENTICATE", "a BAD Mate, try AUTHENTICATE <mechanism>", true),
            ("a AUTHENTICATE ", "a BAD Mate, try AUTHENTICATE <mechanism>", true),
            ("a AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=", "a BAD Mate, try AUTHENTICATE <mechanism>", true),
            ("a FETCH 1 BODY", "a BAD Unrecognised command, mate", true),
            ("a *", "a BAD Unrecognised command, mate", true),
            ("a LOGINX a b", "a BAD Unrecognised command, mate", true), ("a", "a BAD Missing command, mate", true),
            ("a ", "a BAD Null command, mate", true), ("a  NOOP", "a BAD Null command, mate", true),
            ("", "* BAD Invalid tag, mate", true), (" a NOOP", "* BAD Invalid tag, mate", true),
        ]
        + ["(", ")", "{", "%", "*", "\"", "\\", "]", "\u{1}", "\u{7f}", "é", "\0"].map {
            ("a\($0) NOOP", "* BAD Invalid tag, mate", true)
        }
        + [
            "", " ", " joe", " joe ", " joe secret ", " joe  secret", "  joe secret", " joe secret x", " \"joe secret",
            " joe \"", " joe \"secret", " \"joe\"x secret", " joe \"sec\"ret\"", " joe sec\0ret", " jo\0e secret",
            " {4097}", " joe {4097}", " joe {99999999999999999999}", " joe x{3}y z",
        ].map { ("a LOGIN\($0)", "a BAD Mate, try LOGIN <username> <passwd>", true) }

    @Test func answersEachCommand() async throws {
        for (command, answer, _) in Self.table {
            let outcome = try await hold(.imap4, saying: "\(command)\r\nz NOOP\r\n")
            #expect(outcome.heard == "\(answer)\r\nz OK NOOP\r\n", "\(command.debugDescription)")
            #expect(outcome.end == .client(.closed))
        }
    }

    /// With a pause that never ends only those answers come that are not made to wait.
    @Test func faultsWait() async throws {
        try await onLoop { loop in
            var options = Options()
            options.protocolName = .imap4
            for (command, answer, waits) in Self.table {
                let (near, far) = try socketPair()
                let line = Array("\(command)\r\n".utf8)
                try #require(write(far, line, line.count) == line.count)
                let set = options
                loop.start { loop in
                    guard let stream = try? Stream(near, on: loop) else { return }
                    let front = Front(stream: stream, options: set, identity: "", pauseLength: 1 << 40)
                    _ = try? await IMAP4Client(front).readCredentials()
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
            try await IMAP4Client(front).greet()
        }.heard
        #expect(heard == "* OK [CAPABILITY IMAP4 IMAP4REV1] perdition ready on mail.example 0002c74d\r\n")
    }

    @Test func logsOut() async throws {
        let outcome = try await hold(.imap4, saying: "a LOGOUT\r\nb NOOP\r\n")
        #expect(outcome.end == .loggedOut)
        #expect(outcome.heard == "* BYE IMAP4 server logging out, mate\r\na OK LOGOUT\r\n")
    }

    @Test func showsCapabilitiesOfTheMoment() async throws {
        let outcome = try await hold(
            .imap4, with: { $0.sslMode = [.tlsListen, .tlsListenForce] }, saying: "a CAPABILITY\r\n")
        #expect(outcome.heard == "* CAPABILITY IMAP4 IMAP4REV1 STARTTLS LOGINDISABLED\r\na OK CAPABILITY\r\n")
    }

    // MARK: Logins

    @Test(
        arguments: [
            ("a LOGIN joe secret", "joe", "secret"), ("a login joe secret", "joe", "secret"),
            ("a LOGIN \"joe\" \"se cret\"", "joe", "se cret"),
            (#"a LOGIN "jo\"e" "se\\cr\"et""#, #"jo"e"#, #"se\cr"et"#),
            ("a LOGIN \"\" \"\"", "", ""), ("a LOGIN jürgen pässword", "jürgen", "pässword"),
            ("a LOGIN joe {x", "joe", "{x"), ("a LOGIN {3+} {3}x", "{3+}", "{3}x"),
        ])
    func takesAtomsAndQuotedStrings(line: String, name: String, password: String) async throws {
        for end in ["\r\n", "\n", "\r\r\n"] {
            let outcome = try await hold(.imap4, saying: line + end)
            #expect(outcome.login == Login(name, password))
            #expect(outcome.heard == "")
        }
    }

    @Test(
        arguments: [
            ("{3}\r\njoe {6}\r\nsecret", "joe", "secret", 2), ("{3+}\r\njoe {6+}\r\nsecret", "joe", "secret", 0),
            ("{3+}\r\njoe {6}\r\nsecret", "joe", "secret", 1), ("joe {6}\r\nsecret", "joe", "secret", 1),
            ("\"joe\" {6}\r\nsecret", "joe", "secret", 1), ("{3}\r\njoe secret", "joe", "secret", 1),
            ("{3}\r\njoe \"sec ret\"", "joe", "sec ret", 1), ("joe {0}\r\n", "joe", "", 1),
            ("{0+}\r\n {0+}\r\n", "", "", 0),
            ("joe {8+}\r\n\"secret\"", "joe", "\"secret\"", 0), ("joe {7+}\r\nse\\cret", "joe", "se\\cret", 0),
            ("joe {8+}\r\nse\r\ncret", "joe", "se\r\ncret", 0), ("{5+}\r\njo\r\ne x", "jo\r\ne", "x", 0),
            ("{3+}\r\njoe {3+}\r\n{9}", "joe", "{9}", 0),
        ])
    func takesLiterals(arguments: String, name: String, password: String, requests: Int) async throws {
        let outcome = try await hold(.imap4, saying: "a LOGIN \(arguments)\r\n")
        #expect(outcome.login == Login(name, password))
        #expect(outcome.heard == String(repeating: "+ OK ready for additional input\r\n", count: requests))
        #expect(outcome.rest == "")
    }

    @Test func takesTheLongestLiteral() async throws {
        let password = String(repeating: "p", count: IMAP4Client.literalLimit)
        let outcome = try await hold(.imap4, saying: "a LOGIN joe {4096+}\r\n\(password)\r\n")
        #expect(outcome.login == Login("joe", password))
    }

    @Test(
        arguments: [
            "{3+}\r\njoex secret", "{3+}\r\njoe{6+}\r\nsecret", "{3+}\r\njoe  secret", "joe {6+}\r\nsecret x",
            "joe {6+}\r\nsecret {1+}\r\nx", "{3+}\r\njoe", "{3+}\r\njoe ", "joe {3+}\r\na\0b", "joe{3+}\r\nabc x",
        ])
    func refusesLiteralsThatDoNotMakeTwoArguments(arguments: String) async throws {
        let outcome = try await hold(.imap4, saying: "a LOGIN \(arguments)\r\nz NOOP\r\n")
        #expect(outcome.heard == "a BAD Mate, try LOGIN <username> <passwd>\r\nz OK NOOP\r\n")
    }

    /// What a client sends along without waiting is never taken for a command.
    @Test(arguments: [
        "a FETCH {8+}\r\nb LOGOUT\r\n", "a NOOP {8+}\r\nb LOGOUT {2+}\r\nxx\r\n", "( X {8+}\r\nb LOGOUT\r\n",
    ])
    func swallowsLiteralsOfRefusedCommands(input: String) async throws {
        let outcome = try await hold(.imap4, saying: "\(input)z NOOP\r\n")
        #expect(outcome.end == .client(.closed))
        #expect(outcome.heard.hasSuffix("mate\r\nz OK NOOP\r\n"))
        #expect(outcome.heard.split(separator: "\r\n").count == 2)
    }

    @Test(arguments: ["a LOGIN joe {4097+}", "a FETCH {9999999999999999999999+}", "a LOGIN {4294967296+}"])
    func hangsUpOnALiteralWithoutBounds(line: String) async throws {
        let outcome = try await hold(.imap4, saying: "\(line)\r\nxxxx")
        #expect(outcome.end == .client(.lineTooLong))
        #expect(outcome.heard == "* BYE Literal too large, mate\r\n")
    }

    @Test func hangsUpOnALineWithoutEnd() async throws {
        let outcome = try await hold(.imap4, saying: String(repeating: "x", count: 20_000))
        #expect(outcome.end == .client(.lineTooLong))
        #expect(outcome.heard == "* BYE Line too long, mate\r\n")
    }

    @Test func keepsWhatWasSentBehindTheLogin() async throws {
        let outcome = try await hold(.imap4, saying: "a LOGIN joe {6+}\r\nsecret\r\nb SELECT INBOX\r\nc ID")
        #expect(outcome.login == Login("joe", "secret"))
        #expect(outcome.rest == "b SELECT INBOX\r\nc ID")
    }

    /// The same wherever the bytes are split.
    @Test func readsALoginInPieces() async throws {
        let input = Array("a LOGIN {3+}\r\njoe \"se cret\"\r\n".utf8)
        try await onLoop { loop in
            var options = Options()
            options.protocolName = .imap4
            for cut in 1..<input.count {
                let (near, far) = try socketPair()
                let stream = try Stream(near, on: loop)
                try #require(write(far, Array(input[..<cut]), cut) == cut)
                loop.start { loop in
                    await loop.turn(4)
                    #expect(write(far, Array(input[cut...]), input.count - cut) == input.count - cut)
                }
                let client = IMAP4Client(Front(stream: stream, options: options, identity: "", pauseLength: 0))
                #expect(Login(try await client.readCredentials()) == Login("joe", "se cret"), "cut at \(cut)")
                stream.close()
                close(far)
            }
        }
    }

    // MARK: Answers to a login

    @Test(
        arguments: [
            (.authentication(answer: []), "[AUTHENTICATIONFAILED] failed: Re-Authentication Failure"),
            (.realServerUnavailable(answer: []), "[UNAVAILABLE] failed: Real server unavailable"),
            (.mapUnavailable, "[UNAVAILABLE] failed: Temporary lookup failure"),
            (.notConnected, "[UNAVAILABLE] failed: Could not connect to server"),
            (.negotiation, "[UNAVAILABLE] failed: Connection Negotiation Failure"),
            (.tlsMissing, "[UNAVAILABLE] failed: TLS not present"),
            (.loginDisabled, "failed: Login Disabled"),
            (.noServer, "failed: Could not determine server"),
            (.noMechanism, "failed: SASL mechanism unavailable"),
            (.localAuthentication, "[AUTHENTICATIONFAILED] Authentication failure"),
        ] as [(Refusal, String)])
    func saysWhyALoginFailed(refusal: Refusal, text: String) async throws {
        let outcome = try await hold(.imap4, saying: "t1 LOGIN joe secret\r\n") { try await $0.refuse(refusal) }
        #expect(outcome.heard == "t1 NO \(text)\r\n")
    }

    @Test func asksForPrivacyOnlyWhereItIsToBeHad() async throws {
        let force: @Sendable (inout Options) -> Void = { $0.sslMode = [.tlsListen, .tlsListenForce] }
        let line = "t1 LOGIN joe secret\r\n"
        let offered = try await hold(.imap4, with: force, saying: line) { try await $0.refuse(.loginDisabled) }
        #expect(offered.heard == "t1 NO [PRIVACYREQUIRED] failed: Login Disabled\r\n")
        let inVain = try await hold(
            .imap4,
            with: {
                force(&$0)
                $0.loginDisabled = true
            }, saying: line
        ) { try await $0.refuse(.loginDisabled) }
        #expect(inVain.heard == "t1 NO failed: Login Disabled\r\n")
    }

    @Test func passesOnTheServersRefusalWhereAskedTo() async throws {
        let answer = Refusal.authentication(answer: Array("NO [X] go away".utf8))
        let outcome = try await hold(.imap4, with: { $0.serverRespLine = true }, saying: "t1 LOGIN joe secret\r\n") {
            try await $0.refuse(answer)
        }
        #expect(outcome.heard == "t1 NO [X] go away\r\n")
        let own = try await hold(.imap4, with: { $0.serverRespLine = true }, saying: "t1 LOGIN joe secret\r\n") {
            try await $0.refuse(.noServer)
        }
        #expect(own.heard == "t1 NO failed: Could not determine server\r\n")
    }

    @Test func saysThatALoginWentThrough() async throws {
        let answer = AcceptedLogin(answer: Array("OK [CAPABILITY X] hi".utf8), untagged: Array("* A\r\n* B\r\n".utf8))
        let plain = try await hold(.imap4, saying: "t1 LOGIN joe secret\r\n") { try await $0.accept(answer) }
        #expect(plain.heard == "* A\r\n* B\r\nt1 OK You are so in\r\n")
        let passed = try await hold(.imap4, with: { $0.serverRespLine = true }, saying: "t1 LOGIN joe secret\r\n") {
            try await $0.accept(answer)
        }
        #expect(passed.heard == "* A\r\n* B\r\nt1 OK [CAPABILITY X] hi\r\n")
        let empty = try await hold(.imap4, with: { $0.okLine = "" }, saying: "t1 LOGIN joe secret\r\n") {
            try await $0.accept(AcceptedLogin(answer: []))
        }
        #expect(empty.heard == "t1 OK \r\n")
    }
}
