import Testing

@testable import Proxy

/// The half that faces mail programs, over a socket pair: what it answers, and whom it lets log in.
@Suite struct ManageSieveClientTests {
    /// What a whole conversation came to.
    struct Outcome: Sendable {
        /// `authzid,authcid,password` of each login; a missing one is `-`.
        var logins: [String] = []
        var end: SessionEnd?
    }

    /// Lets a client say `input` all at once; each login is refused, and the client tries again.
    static func converse(
        _ input: String, _ options: Options = Options(), refusing refusal: Refusal = .noServer
    ) async throws -> (output: String, outcome: Outcome) {
        let (outcome, output) = try await OnLoop.talk(Array(input.utf8)) { stream in
            var outcome = Outcome()
            let front = Front(stream: stream, options: options, identity: "ready on here 0001")
            let client = ManageSieveClient(front)
            do throws(SessionEnd) {
                while true {
                    let login = try await client.readCredentials()
                    let password = login.password.withBytes { Array($0).text }
                    let authorization = login.authorizationID?.text ?? "-"
                    outcome.logins.append("\(authorization),\(login.authenticationID.text),\(password)")
                    try await client.refuse(refusal)
                }
            } catch {
                outcome.end = error
            }
            return outcome
        }
        return (output, outcome)
    }

    @Test func greetsWithItsCapabilities() async throws {
        let (_, output) = try await OnLoop.talk([]) { stream in
            var options = Options()
            options.managesieveCapability = "\"SASL\" \"PLAIN\"  \"STARTTLS\""
            let front = Front(stream: stream, options: options, identity: "ready on here 0001")
            try? await ManageSieveClient(front).greet()
        }
        #expect(output == "\"SASL\" \"PLAIN\"\r\nOK \"perdition ready on here 0001\"\r\n")
    }

    static let dialogues: [(String, String)] = [
        ("NOOP", "OK \"NOOP completed, mate\""), ("noop", "OK \"NOOP completed, mate\""),
        ("NOOP \"a \\\"b\\\"\"", "OK (TAG \"a \\\"b\\\"\") \"NOOP completed, mate\""),
        ("NOOP \"\"", "OK (TAG \"\") \"NOOP completed, mate\""),
        ("NOOP {3+}\r\na\nb", "OK (TAG {3}\r\na\nb) \"NOOP completed, mate\""),
        ("NOOP x", "NO \"Invalid argument, expected NOOP [String], mate\""),
        ("NOOP \"x", "NO \"Invalid argument, expected NOOP [String], mate\""),
        ("NOOP \"a\" \"b\"", "NO \"Too many arguments, expected NOOP [String], mate\""),
        ("CAPABILITY \"x\"", "NO \"Too many arguments, expected CAPABILITY, mate\""),
        ("LOGOUT x", "NO \"Too many arguments, expected LOGOUT, mate\""),
        ("FOO", "NO \"Unknown command, mate\""), (" NOOP", "NO \"Unknown command, mate\""),
        ("", "NO \"Unknown command, mate\""),
        ("STARTTLS", "NO \"Unknown command, mate\""), ("\"NOOP\"", "NO \"Unknown command, mate\""),
        ("PUTSCRIPT \"x\" {8+}\r\nLOGOUT\r\n", "NO \"Unknown command, mate\""),
        ("AUTHENTICATE", "NO \"Incorrect argument count, expected AUTHENTICATE <mechanism> [<challenge>], mate\""),
        ("AUTHENTICATE PLAIN", "NO \"Unknown SASL mechanism, mate\""),
        ("AUTHENTICATE \"LOGIN\"", "NO \"Unknown SASL mechanism, mate\""),
        ("AUTHENTICATE \"PLAIN\" x", "NO \"Invalid AUTHENTICATE \\\"PLAIN\\\" challenge, mate\""),
        ("AUTHENTICATE \"PLAIN\" \"\"", "NO \"Invalid base64 encoded challenge, mate\""),
        ("AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ\"", "NO \"Invalid base64 encoded challenge, mate\""),
        ("AUTHENTICATE \"PLAIN\" \"am9l\"", "NO \"Challenge has no authentication id, mate\""),
        ("AUTHENTICATE \"PLAIN\" \"AGoBZQBzZWNyZXQ=\"", "NO \"Invalid authentication id, mate\""),
        ("AUTHENTICATE \"PLAIN\"\r\n\"*\"", "\"\"\r\nNO \"Authentication cancelled, mate\""),
        ("AUTHENTICATE \"PLAIN\"\r\nLOGOUT", "\"\"\r\nNO \"Invalid AUTHENTICATE \\\"PLAIN\\\" challenge, mate\""),
    ]

    @Test(arguments: dialogues)
    func answers(line: String, reply: String) async throws {
        let (output, outcome) = try await Self.converse("\(line)\r\nLOGOUT\r\n")
        #expect(output == "\(reply)\r\nOK \"LOGOUT completed, mate\"\r\n")
        #expect(outcome.logins.isEmpty)
        #expect(outcome.end == .loggedOut)
    }

    @Test(arguments: [
        "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"", "authenticate \"plain\" \"AGpvZQBzZWNyZXQ=\"",
        "AUTHENTICATE \"PLAIN\" {16+}\r\nAGpvZQBzZWNyZXQ=", "AUTHENTICATE \"PLAIN\" {16}\r\nAGpvZQBzZWNyZXQ=",
        "AUTHENTICATE {5+}\r\nPLAIN \"AGpvZQBzZWNyZXQ=\"",
    ])
    func logsIn(line: String) async throws {
        let (output, outcome) = try await Self.converse("\(line)\r\nNOOP\r\n")
        #expect(outcome.logins == ["-,joe,secret"])
        #expect(output == "NO \"failed: Could not determine server\"\r\nOK \"NOOP completed, mate\"\r\n")
        #expect(outcome.end == .client(.closed))
    }

    @Test(arguments: ["\"amltAGpvZQBzZWNyZXQ=\"", "{20+}\r\namltAGpvZQBzZWNyZXQ="])
    func logsInAfterAChallenge(response: String) async throws {
        let (output, outcome) = try await Self.converse("AUTHENTICATE \"PLAIN\"\r\n\(response)\r\n")
        #expect(outcome.logins == ["jim,joe,secret"])
        #expect(output == "\"\"\r\nNO \"failed: Could not determine server\"\r\n")
    }

    @Test func asksForNoPasswordThatCannotBeUsed() async throws {
        var options = Options()
        options.loginDisabled = true
        let (output, outcome) = try await Self.converse("AUTHENTICATE \"PLAIN\"\r\n", options)
        #expect(output == "NO \"failed: Login Disabled\"\r\n")
        #expect(outcome.logins.isEmpty)
        options.loginDisabled = false
        options.sslMode = [.tlsListen, .tlsListenForce]
        #expect(
            try await Self.converse("AUTHENTICATE \"PLAIN\"\r\n", options).output
                == "NO (ENCRYPT-NEEDED) \"failed: Login Disabled\"\r\n")
    }

    static let refusals: [(Refusal, String)] = [
        (Refusal.mapUnavailable, "NO (TRYLATER) \"failed: Temporary lookup failure\""),
        (.realServerUnavailable(answer: []), "NO (TRYLATER) \"failed: Real server unavailable\""),
        (.authentication(answer: []), "NO \"failed: Re-Authentication Failure\""),
        (
            .authentication(answer: Array("NO (AUTH-TOO-WEAK) \"no\"".utf8)),
            "NO (AUTH-TOO-WEAK) \"failed: Re-Authentication Failure\""
        ),
        (
            .authentication(answer: Array("NO (TRANSITION-NEEDED) {2}".utf8)),
            "NO (TRANSITION-NEEDED) \"failed: Re-Authentication Failure\""
        ),
        (.authentication(answer: Array("NO (QUOTA) \"no\"".utf8)), "NO \"failed: Re-Authentication Failure\""),
        (.noMechanism, "NO \"failed: SASL mechanism unavailable\""), (.loginDisabled, "NO \"failed: Login Disabled\""),
        (.localAuthentication, "NO \"Authentication failure, mate\""),
    ]

    @Test(arguments: refusals)
    func saysWhyALoginFailed(refusal: Refusal, reply: String) async throws {
        let (output, _) = try await Self.converse("AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n", refusing: refusal)
        #expect(output == "\(reply)\r\n")
    }

    @Test func passesOnWhatTheServerSays() async throws {
        var options = Options()
        options.serverRespLine = true
        let words = "NO (TRYLATER) {5}\r\nlater"
        let (output, _) = try await Self.converse(
            "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n", options,
            refusing: .realServerUnavailable(answer: Array(words.utf8)))
        #expect(output == "\(words)\r\n")
    }

    @Test(arguments: [
        (false, "OK \"say \\\"hi\\\"\"\r\n"), (true, "OK (SASL \"x\") \"its words\"\r\n"),
    ])
    func welcomes(serverRespLine: Bool, reply: String) async throws {
        let (_, output) = try await OnLoop.talk([]) { stream in
            var options = Options()
            options.okLine = "say \"hi\""
            options.serverRespLine = serverRespLine
            let front = Front(stream: stream, options: options, identity: "")
            let answer = Array("OK (SASL \"x\") \"its words\"".utf8)
            try? await ManageSieveClient(front).accept(AcceptedLogin(answer: answer))
        }
        #expect(output == reply)
    }

    static let endless: [(String, String)] = [
        (String(repeating: "x", count: 9000) + "\r\n", "Line"), ("NOOP {8193+}\r\n", "Command"),
        ("PUTSCRIPT \"x\" {4294967296+}\r\n", "Command"),
        ("X" + String(repeating: " {4096+}\r\n" + String(repeating: "y", count: 4096), count: 5) + "\r\n", "Command"),
    ]

    @Test(arguments: endless)
    func hangsUpOnWhatIsTooLong(input: String, what: String) async throws {
        let (output, outcome) = try await Self.converse(input + "NOOP\r\n")
        #expect(output == "BYE \"\(what) too long, mate\"\r\n")
        #expect(outcome.end == .client(.lineTooLong))
    }

    @Test func clearTextBehindStartTLSEndsTheConnection() async throws {
        var options = Options()
        options.sslMode = .tlsListen
        let (output, outcome) = try await Self.converse("STARTTLS\r\nNOOP\r\n", options)
        #expect(output == "BYE \"Clear text behind STARTTLS, mate\"\r\n")
        #expect(outcome.end == .client(.lineTooLong))
    }
}
