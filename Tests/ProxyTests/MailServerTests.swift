import Loop
import Testing

@testable import Proxy

/// What real servers hear, and what becomes of what they answer.
@Suite(.timeLimit(.minutes(2))) struct MailServerTests {
    /// What the real server came to.
    private struct Result: Sendable, Equatable {
        var answer = ""
        var untagged = ""
        var error: ServerError?
    }

    private func logIn(
        _ protocolName: ProtocolName, _ login: Login = Login("joe", "secret"), saying script: String,
        _ set: @escaping @Sendable (inout Options) -> Void = { _ in }
    ) async throws -> (Result, heard: String) {
        try await hold(saying: Array(script.utf8)) { _, stream in
            var options = Options()
            options.protocolName = protocolName
            set(&options)
            let back = Back(
                stream: stream, options: options, identity: "ready on me 0001", host: "mail", address: try .sample())
            let server: any MailServer = protocolName == .imap4 ? IMAP4Server(back) : POP3Server(back)
            var result = Result()
            do throws(ServerError) {
                try await server.open()
                let accepted = try await server.logIn(login.credentials)
                result.answer = accepted.answer.text
                result.untagged = accepted.untagged.text
            } catch {
                result.error = error
                if case .refused = error { await server.quit() }
            }
            return result
        }
    }

    // MARK: IMAP4

    @Test func imap4LogsIn() async throws {
        let (result, heard) = try await logIn(
            .imap4, saying: "* OK [CAPABILITY Y] hi\r\nflim07 OK [CAPABILITY X] done\r\n")
        #expect(result == Result(answer: "OK [CAPABILITY X] done"))
        #expect(heard == "flim07 LOGIN \"joe\" \"secret\"\r\n")
    }

    @Test(
        arguments: [
            ("", "", "\"\" \"\""), ("a b", "c d", "\"a b\" \"c d\""), ("jo\"e", "x", "{4+}\r\njo\"e \"x\""),
            ("joe", "a\\b", "\"joe\" {3+}\r\na\\b"), ("jürgen", "ä", "{7+}\r\njürgen {2+}\r\nä"),
            ("a\r\nb", "x\u{1}y", "{4+}\r\na\r\nb {3+}\r\nx\u{1}y"),
        ])
    func imap4WritesEveryNameSafely(name: String, password: String, arguments: String) async throws {
        for capability in ["LITERAL+", "literal-"] {
            let (result, heard) = try await logIn(
                .imap4, Login(name, password), saying: "* OK [CAPABILITY \(capability)] hi\r\nflim07 OK\r\n")
            #expect(result.error == nil)
            #expect(heard == "flim07 LOGIN \(arguments)\r\n")
        }
    }

    @Test func imap4WaitsToSendLiterals() async throws {
        let (result, heard) = try await logIn(
            .imap4, Login("jü", "ä"), saying: "* OK [CAPABILITY Y] hi\r\n+ go\r\n* untagged\r\n+\r\nflim07 OK done\r\n")
        #expect(result.answer == "OK done")
        #expect(heard == "flim07 LOGIN {3}\r\njü {2}\r\nä\r\n")
    }

    /// A password is not sent to a server that has refused the name.
    @Test func imap4StopsWhereALiteralIsRefused() async throws {
        let (result, heard) = try await logIn(
            .imap4, Login("jü", "ä"), saying: "* OK [CAPABILITY Y] hi\r\nflim07 NO no\r\n* BYE\r\n")
        #expect(result.error == .refused(.authentication(answer: Array("NO no".utf8))))
        #expect(heard == "flim07 LOGIN {3}\r\nflim08 LOGOUT\r\n")
    }

    @Test func imap4KeepsUntaggedResponses() async throws {
        let (result, _) = try await logIn(
            .imap4,
            saying: "* OK [CAPABILITY Y] hi\r\n* CAPABILITY A\r\n* %s%n 5 EXISTS\r\nflim07 OK done\r\nflim09 more")
        #expect(result == Result(answer: "OK done", untagged: "* CAPABILITY A\r\n* %s%n 5 EXISTS\r\n"))
    }

    @Test(
        arguments: [
            ("NO no", .authentication(answer: Array("NO no".utf8))),
            ("BAD what", .authentication(answer: Array("BAD what".utf8))),
            ("NO [AUTHENTICATIONFAILED] x", .authentication(answer: Array("NO [AUTHENTICATIONFAILED] x".utf8))),
            ("NO [UNAVAILABLE] x", .realServerUnavailable(answer: Array("NO [UNAVAILABLE] x".utf8))),
            ("no [inuse]", .realServerUnavailable(answer: Array("no [inuse]".utf8))),
        ] as [(String, Refusal)])
    func imap4TellsRefusalsApart(answer: String, refusal: Refusal) async throws {
        let (result, heard) = try await logIn(
            .imap4, saying: "* OK [CAPABILITY Y] hi\r\nflim07 \(answer)\r\n* BYE\r\nflim08 OK\r\n")
        #expect(result.error == .refused(refusal))
        #expect(heard == "flim07 LOGIN \"joe\" \"secret\"\r\nflim08 LOGOUT\r\n")
    }

    /// A greeting without capabilities: the server is asked before a password is sent.
    @Test func imap4AsksWhatTheGreetingDoesNotSay() async throws {
        let (result, heard) = try await logIn(
            .imap4, saying: "* OK hi\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nflim07 OK\r\n* BYE\r\nflim08 OK\r\n")
        #expect(result.error == .refused(.loginDisabled))
        #expect(heard == "flim07 CAPABILITY\r\nflim08 LOGOUT\r\n")
        let (plain, said) = try await logIn(
            .imap4, saying: "* OK hi\r\n* CAPABILITY IMAP4rev1\r\nflim07 OK\r\nflim08 OK in\r\n")
        #expect(plain.answer == "OK in")
        #expect(said == "flim07 CAPABILITY\r\nflim08 LOGIN \"joe\" \"secret\"\r\n")
        let chatter = String(repeating: "* x\r\n", count: 300)
        let (endless, _) = try await logIn(.imap4, saying: "* OK hi\r\n" + chatter)
        #expect(endless.error == .broken("sent more than 200 lines before the answer to CAPABILITY"))
    }

    @Test func imap4HeedsLOGINDISABLED() async throws {
        let (result, heard) = try await logIn(.imap4, saying: "* OK [CAPABILITY IMAP4rev1 LoginDisabled] hi\r\n")
        #expect(result.error == .refused(.loginDisabled))
        #expect(heard == "flim07 LOGOUT\r\n")
    }

    @Test(
        arguments: [
            "* BYE no", "* PREAUTH hi", "* NO x", "OK hi", "", "+OK POP3", "220 smtp", "flim07 OK", "* OKAY",
        ])
    func imap4RefusesGreetings(greeting: String) async throws {
        let (result, heard) = try await logIn(.imap4, saying: "\(greeting)\r\nflim07 OK\r\n")
        #expect(result.error?.refusal == .negotiation)
        #expect(heard == "")
    }

    @Test(arguments: [
        "", "* OK h", "* OK [CAPABILITY Y] hi\r\n", "* OK [CAPABILITY Y] hi\r\nflim07 O",
        "* OK [CAPABILITY Y] hi\r\n* BYE x\r\n", "* OK [CAPABILITY Y] hi\r\nflim08 OK\r\n",
        "* OK [CAPABILITY Y] hi\r\nx\r\n", "* OK [CAPABILITY Y] hi\r\n+\r\n",
    ])
    func imap4CallsTheRestBroken(script: String) async throws {
        let (result, _) = try await logIn(.imap4, saying: script)
        guard case .broken = result.error else {
            Issue.record("\(script.debugDescription): \(result)")
            return
        }
    }

    @Test func imap4BoundsWhatItKeeps() async throws {
        let line = "* " + String(repeating: "x", count: 998) + "\r\n"
        let (result, _) = try await logIn(
            .imap4, saying: "* OK [CAPABILITY Y] hi\r\n" + String(repeating: line, count: 70))
        #expect(result.error == .broken("sent more than 65536 bytes before the answer to LOGIN"))
        let (endless, _) = try await logIn(.imap4, saying: "* OK " + String(repeating: "x", count: 9000))
        #expect(endless.error == .broken("sent a line of more than 8192 bytes (reading the greeting)"))
    }

    // MARK: POP3

    @Test func pop3LogsIn() async throws {
        let (result, heard) = try await logIn(.pop3, saying: "+OK hi\r\n+OK\r\n+ok 3 messages\r\n")
        #expect(result == Result(answer: "+ok 3 messages"))
        #expect(heard == "USER joe\r\nPASS secret\r\n")
    }

    @Test func pop3PassesBlanksAndQuotesOn() async throws {
        let (_, heard) = try await logIn(.pop3, Login("jü\"e", " a b\\ "), saying: "+OK hi\r\n+OK\r\n+OK\r\n")
        #expect(heard == "USER jü\"e\r\nPASS  a b\\ \r\n")
    }

    /// A name that held a line end would be a command of its own.
    @Test(arguments: ["jo\r\ne", "jo\ne", "jo\re", "jo\0e"]) func pop3SendsNoNameThatWouldBeACommand(name: String)
        async throws
    {
        let (result, heard) = try await logIn(.pop3, Login(name, "x"), saying: "+OK hi\r\n+OK\r\n+OK\r\n")
        #expect(result.error == .refused(.authentication(answer: [])))
        #expect(heard == "QUIT\r\n")
    }

    @Test(
        arguments: [
            ("-ERR no", .authentication(answer: Array("-ERR no".utf8))),
            ("-ERR", .authentication(answer: Array("-ERR".utf8))),
            ("-err [AUTH] x", .authentication(answer: Array("-err [AUTH] x".utf8))),
            ("-ERR [SYS/TEMP] x", .realServerUnavailable(answer: Array("-ERR [SYS/TEMP] x".utf8))),
            ("-ERR [IN-USE] x", .realServerUnavailable(answer: Array("-ERR [IN-USE] x".utf8))),
        ] as [(String, Refusal)])
    func pop3TellsRefusalsApart(answer: String, refusal: Refusal) async throws {
        for script in ["+OK hi\r\n\(answer)\r\n+OK\r\n", "+OK hi\r\n+OK\r\n\(answer)\r\n+OK\r\n"] {
            let (result, heard) = try await logIn(.pop3, saying: script)
            #expect(result.error == .refused(refusal))
            #expect(heard.hasSuffix("QUIT\r\n"))
        }
    }

    @Test(arguments: ["-ERR no", "* OK imap", "", "OK", "+O"]) func pop3RefusesGreetings(greeting: String) async throws
    {
        let (result, heard) = try await logIn(.pop3, saying: "\(greeting)\r\n")
        #expect(result.error?.refusal == .negotiation)
        #expect(heard == "")
    }

    @Test(arguments: ["", "+OK hi\r\n", "+OK hi\r\n+OK\r\n", "+OK hi\r\nperhaps\r\n", "+OK hi\r\n+OK\r\n+ go on\r\n"])
    func pop3CallsTheRestBroken(script: String) async throws {
        let (result, _) = try await logIn(.pop3, saying: script)
        guard case .broken = result.error else {
            Issue.record("\(script.debugDescription): \(result)")
            return
        }
    }

    // MARK: Both

    @Test func noticesThatItTalksToItself() async throws {
        for (name, script) in [
            (ProtocolName.imap4, "* OK [CAPABILITY IMAP4] perdition ready on me 0001\r\n"),
            (.pop3, "+OK POP3 perditon ready on me 0001\r\n"),
        ] {
            let (result, heard) = try await logIn(name, saying: script)
            guard case .broken(let text) = result.error else {
                Issue.record("\(result)")
                continue
            }
            #expect(text.hasPrefix("is this proxy itself"))
            #expect(heard == "")
            // Another proxy of the same kind is no circle.
            let (other, _) = try await logIn(name, saying: script.replacing("0001", with: "0002"))
            #expect(
                other.error
                    == .broken(
                        "closed the connection (\(name == .imap4 ? "waiting for the answer to LOGIN" : "waiting for the answer to USER"))"
                    ))
        }
    }

    /// Without STARTTLS on offer the login goes on in clear text, unless TLS is demanded.
    @Test func missingTLSIsPassedOverUnlessDemanded() async throws {
        let imap4 = "* OK hi\r\n* CAPABILITY IMAP4rev1\r\nflim07 OK\r\nflim08 OK in\r\n"
        let pop3 = "+OK hi\r\n+OK\r\nUSER\r\n.\r\n+OK\r\n+OK in\r\n"
        for (name, script) in [(ProtocolName.imap4, imap4), (.pop3, pop3)] {
            let (result, heard) = try await logIn(name, saying: script) { $0.sslMode = .tlsOutgoing }
            #expect(result.answer.hasSuffix("OK in"), "\(heard)")
            let (forced, _) = try await logIn(name, saying: script) { $0.sslMode = [.tlsOutgoing, .tlsOutgoingForce] }
            #expect(forced.error == .refused(name == .imap4 ? .negotiation : .tlsMissing))
        }
    }

    @Test func waitsNoLongerThanItsPatience() async throws {
        let error = try await hold(saying: [], hangingUp: false) { _, stream in
            stream.patience = 30
            let back = Back(stream: stream, options: Options(), identity: "", host: "mail", address: try .sample())
            do throws(ServerError) {
                try await POP3Server(back).open()
            } catch {
                return error
            }
            return ServerError.broken("it opened")
        }.value
        #expect(error == .broken("said nothing for too long (reading the greeting)"))
    }
}
