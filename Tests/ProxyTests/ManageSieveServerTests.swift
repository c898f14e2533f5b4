import Loop
import Testing

@testable import Proxy

/// The half that faces real servers, over a socket pair: what it sends, and what it makes of the answers.
@Suite struct ManageSieveServerTests {
    /// Lets a server say `input` all at once.
    ///
    /// - Returns: what the login came to, and what the server heard.
    static func logIn(
        _ input: String, _ sslMode: SSLMode = [], name: String = "joe", authorization: String? = nil,
        password: String = "secret"
    ) async throws -> (answer: Result<String, ServerError>, heard: String) {
        try await OnLoop.talk(Array(input.utf8)) { stream in
            var options = Options()
            options.sslMode = sslMode
            let back = Back(
                stream: stream, options: options, identity: "ready on here 0001", host: "there",
                address: SocketAddress.of(stream.channel.descriptor, peer: true))
            let server = ManageSieveServer(back)
            do throws(ServerError) {
                try await server.open()
                let login = try await server.logIn(
                    Credentials(
                        authenticationID: Array(name.utf8), authorizationID: authorization.map { Array($0.utf8) },
                        password: Secret(password.utf8)))
                return .success(login.answer.text)
            } catch {
                return .failure(error)
            }
        }
    }

    static let greeting = "\"IMPLEMENTATION\" \"x\"\r\n\"SASL\" \"LOGIN PLAIN\"\r\nOK \"hi\"\r\n"
    static let joe = "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n"

    @Test(arguments: [
        greeting, "\"sasl\" \"plain\"\r\nOK\r\n",
        "\"SASL\" {5}\r\nPLAIN\r\n{4}\r\nNOTE {0}\r\n\r\nOK (A \"b\") {2}\r\nhi\r\n",
        "\"SASL\" \"\"\r\n\"SASL\" \"PLAIN\"\r\nOK \"the last counts\"\r\n",
    ])
    func logsIn(greeting: String) async throws {
        let (answer, heard) = try await Self.logIn(greeting + "OK (TAG {1}\r\n\") \"in\"\r\nleft over\r\n")
        #expect(answer == .success("OK (TAG {1}\r\n\") \"in\""))
        #expect(heard == Self.joe)
    }

    @Test func passesOnBothNames() async throws {
        let (_, heard) = try await Self.logIn(Self.greeting + "OK\r\n", authorization: "jim")
        #expect(heard == "AUTHENTICATE \"PLAIN\" \"amltAGpvZQBzZWNyZXQ=\"\r\n")
    }

    @Test func aLongMessageIsALiteral() async throws {
        let password = String(repeating: "p", count: 1000)
        let (_, heard) = try await Self.logIn(Self.greeting + "OK\r\n", password: password)
        let message = SASLTests.base64("\0joe\0\(password)")
        #expect(heard == "AUTHENTICATE \"PLAIN\" {\(message.count)+}\r\n\(message.text)\r\n")
    }

    static let refusals: [(String, Refusal)] = [
        ("NO \"wrong\"", Refusal.authentication(answer: Array("NO \"wrong\"".utf8))),
        ("NO {5}\r\nwrong", .authentication(answer: Array("NO {5}\r\nwrong".utf8))),
        ("NO (TRYLATER) \"x\"", .realServerUnavailable(answer: Array("NO (TRYLATER) \"x\"".utf8))),
        ("NO (AUTH-TOO-WEAK) \"x\"", .authentication(answer: Array("NO (AUTH-TOO-WEAK) \"x\"".utf8))),
        ("NO (ENCRYPT-NEEDED) \"x\"", .loginDisabled), ("BYE (TRYLATER) \"x\"", .realServerUnavailable(answer: [])),
    ]

    @Test(arguments: refusals)
    func refusalsKeepTheirMeaning(answer: String, refusal: Refusal) async throws {
        #expect(try await Self.logIn(Self.greeting + answer + "\r\n").answer == .failure(.refused(refusal)))
    }

    static let oddAnswers: [(String, String)] = [
        (
            "BYE (REFERRAL \"sieve://b\") \"there\"\r\n",
            #"said "BYE (REFERRAL \"sieve://b\") \"there\"" to AUTHENTICATE"#
        ),
        ("\"challenge\"\r\n", #"answered AUTHENTICATE with "\"challenge\"""#),
        ("* OK\r\n", #"answered AUTHENTICATE with "* OK""#),
        ("", "closed the connection (waiting for the answer to AUTHENTICATE)"),
        ("NO {9000}\r\n", "sent a response of more than 16384 bytes (waiting for the answer to AUTHENTICATE)"),
    ]

    @Test(arguments: oddAnswers)
    func oddAnswersAreExplained(answer: String, reason: String) async throws {
        #expect(try await Self.logIn(Self.greeting + answer).answer == .failure(.broken(reason)))
    }

    static let badGreetings: [(String, ServerError)] = [
        ("BYE \"busy\"\r\n", ServerError.broken(#"greeted with "BYE \"busy\"""#)),
        ("NO\r\n", .broken("greeted with \"NO\"")),
        ("NO (TRYLATER) \"x\"\r\n", .refused(.realServerUnavailable(answer: Array("NO (TRYLATER) \"x\"".utf8)))),
        ("* OK IMAP4\r\n", .broken("greeted with \"* OK IMAP4\"")),
        ("\"A\"\r\n", .broken("closed the connection (reading the greeting)")),
        ("OK \"hi\"\r\n", .refused(.noMechanism)), ("\"SASL\" \"\"\r\nOK\r\n", .refused(.noMechanism)),
        ("\"SASL\"\r\nOK\r\n", .refused(.noMechanism)),
        ("\"SASL\" \"XPLAIN GSSAPI\"\r\nOK\r\n", .refused(.noMechanism)),
        (String(repeating: "\"A\" \"b\"\r\n", count: 201), .broken("lists more than 200 capabilities")),
    ]

    @Test(arguments: badGreetings)
    func badGreetingsAreExplained(greeting: String, error: ServerError) async throws {
        let (answer, heard) = try await Self.logIn(greeting)
        #expect(answer == .failure(error))
        #expect(heard == "")
    }

    @Test func aCircleIsNoticed() async throws {
        let (answer, heard) = try await Self.logIn("\"SASL\" \"PLAIN\"\r\nOK \"perdition ready on here 0001\"\r\n")
        guard case .failure(.broken(let reason)) = answer else {
            Issue.record("it logged in")
            return
        }
        #expect(reason.contains("proxy itself"))
        #expect(heard == "")
    }

    @Test func aNULInANameIsNotSent() async throws {
        let (answer, heard) = try await Self.logIn(Self.greeting, name: "j\0e")
        #expect(answer == .failure(.refused(.authentication(answer: []))))
        #expect(heard == "")
    }

    // MARK: STARTTLS

    @Test func tlsThatIsNotOnOfferIsDoneWithoutUnlessDemanded() async throws {
        #expect(try await Self.logIn(Self.greeting + "OK\r\n", .tlsOutgoing).answer == .success("OK"))
        let (answer, heard) = try await Self.logIn(Self.greeting + "OK\r\n", [.tlsOutgoing, .tlsOutgoingForce])
        #expect(answer == .failure(.refused(.tlsMissing)))
        #expect(heard == "")
    }

    @Test func aRefusedStartTLSEndsTheAttempt() async throws {
        let (answer, heard) = try await Self.logIn("\"STARTTLS\"\r\n" + Self.greeting + "NO \"x\"\r\n", .tlsOutgoing)
        #expect(answer == .failure(.broken(#"answered STARTTLS with "NO \"x\"""#)))
        #expect(heard == "STARTTLS\r\n", "no password in clear text")
    }
}
