import Foundation
import Loop
import Testing

@testable import Proxy

/// Text in Base64.
private func b64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

/// The mechanisms of SASL as clients use them, in each protocol, with and without an initial response.
@Suite(.timeLimit(.minutes(2))) struct MechanismTests {
    private static let bearer = "auth=Bearer abc.DEF-1~2+/=\u{1}\u{1}"
    private static let plain = b64("\0joe\0secret")
    private static let xoauth2 = b64("user=joe@example.org\u{1}\(bearer)")
    private static let oauthbearer = b64("n,a=joe@example.org,\u{1}host=mail\u{1}port=143\u{1}\(bearer)")

    /// Lets a client say all of it at once and refuses every login.
    /// - Returns: `authzid,authcid,secret,mechanism` of each login, and what the client heard.
    private func converse(
        _ protocolName: ProtocolName, _ input: String, mechanisms: [Mechanism] = Mechanism.allCases,
        refusing refusal: Refusal = .noServer, _ set: @escaping @Sendable (inout Options) -> Void = { _ in }
    ) async throws -> (logins: [String], heard: String) {
        let (logins, heard) = try await hold(saying: Array(input.utf8)) { _, stream in
            var options = Options()
            options.protocolName = protocolName
            options.saslMechanisms = mechanisms
            set(&options)
            let front = Front(stream: stream, options: options, identity: "", pauseLength: 0)
            let client = protocolName == .managesieve ? ManageSieveClient(front) : makeClient(front)
            var logins: [String] = []
            do throws(SessionEnd) {
                while true {
                    let login = try await client.readCredentials()
                    let secret = login.password.withBytes { Array($0) }.text
                    let mechanism = login.token?.rawValue ?? "-"
                    logins.append(
                        "\(login.authorizationID?.text ?? "-"),\(login.authenticationID.text),\(secret),\(mechanism)")
                    try await client.refuse(refusal)
                }
            } catch {
                if error != .client(.closed) { logins.append("\(error)") }
            }
            return logins
        }
        return (logins, heard)
    }

    /// Mechanism, challenges, responses, login.
    private static let exchanges: [(String, [String], [String], String)] = [
        ("PLAIN", [""], [plain], "-,joe,secret,-"), ("plain", [""], [b64("jim\0joe\0secret")], "jim,joe,secret,-"),
        ("LOGIN", ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"], [b64("joe"), b64(" s\u{e9}c\r\n")], "-,joe, s\u{e9}c\r\n,-"),
        ("LOGIN", ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"], [b64("joe"), ""], "-,joe,,-"),
        ("XOAUTH2", [""], [xoauth2], "-,joe@example.org,\(bearer),XOAUTH2"),
        (
            "OAUTHBEARER", [""], [oauthbearer],
            "-,joe@example.org,host=mail\u{1}port=143\u{1}\(bearer),OAUTHBEARER"
        ),
    ]

    @Test(arguments: exchanges)
    func imap4(mechanism: String, challenges: [String], responses: [String], login: String) async throws {
        let asked = try await converse(
            .imap4, "a AUTHENTICATE \(mechanism)\r\n" + responses.map { "\($0)\r\n" }.joined() + "b NOOP\r\n")
        #expect(asked.logins == [login])
        let refusal = "a NO failed: Could not determine server\r\nb OK NOOP\r\n"
        #expect(asked.heard == challenges.map { "+ \($0)\r\n" }.joined() + refusal)
        let said = try await converse(
            .imap4,
            "a authenticate \(mechanism) \(responses[0])\r\n" + responses.dropFirst().map { "\($0)\r\n" }.joined())
        #expect(said.logins == [login])
    }

    @Test(arguments: exchanges)
    func pop3(mechanism: String, challenges: [String], responses: [String], login: String) async throws {
        let asked = try await converse(
            .pop3, "AUTH \(mechanism)\r\n" + responses.map { "\($0)\r\n" }.joined() + "PASS x\r\n")
        #expect(asked.logins == [login])
        let refusal = "-ERR [SYS/PERM] failed: Could not determine server\r\n-ERR USER not yet set, mate\r\n"
        #expect(asked.heard == challenges.map { "+ \($0)\r\n" }.joined() + refusal)
        let said = try await converse(
            .pop3, "auth \(mechanism) \(responses[0])\r\n" + responses.dropFirst().map { "\($0)\r\n" }.joined())
        #expect(said.logins == [login])
    }

    @Test(arguments: exchanges)
    func manageSieve(mechanism: String, challenges: [String], responses: [String], login: String) async throws {
        let strings = [responses.map { "\"\($0)\"\r\n" }, responses.map { "{\($0.utf8.count)+}\r\n\($0)\r\n" }]
        for strings in strings {
            let asked = try await converse(
                .managesieve, "AUTHENTICATE \"\(mechanism)\"\r\n" + strings.joined() + "NOOP\r\n")
            #expect(asked.logins == [login])
            let refusal = "NO \"failed: Could not determine server\"\r\nOK \"NOOP completed, mate\"\r\n"
            #expect(asked.heard == challenges.map { "\"\($0)\"\r\n" }.joined() + refusal)
            let said = try await converse(.managesieve, "AUTHENTICATE \"\(mechanism)\" " + strings.joined())
            #expect(said.logins == [login])
        }
    }

    /// An initial response of nothing is `=` in IMAP4 and POP3 (RFC 4959), which is the name that LOGIN asks for.
    @Test func anEmptyInitialResponseIsOne() async throws {
        let fault = "Empty authentication id, mate"
        #expect(try await converse(.imap4, "a AUTHENTICATE LOGIN =\r\n").heard == "a BAD \(fault)\r\n")
        #expect(try await converse(.pop3, "AUTH LOGIN =\r\n").heard == "-ERR \(fault)\r\n")
        let heard = try await converse(.managesieve, "AUTHENTICATE \"LOGIN\" \"\"\r\n").heard
        #expect(heard == "NO \"\(fault)\"\r\n")
    }

    @Test func aStarCancels() async throws {
        for mechanism in ["PLAIN", "XOAUTH2", "OAUTHBEARER", "LOGIN \(b64("joe"))"] {
            let text = "Authentication cancelled, mate"
            let imap4 = try await converse(.imap4, "a AUTHENTICATE \(mechanism)\r\n*\r\nb NOOP\r\n")
            #expect(imap4.heard.hasSuffix("a BAD \(text)\r\nb OK NOOP\r\n") && imap4.logins == [])
            let pop3 = try await converse(.pop3, "AUTH \(mechanism)\r\n*\r\nQUIT\r\n")
            #expect(pop3.heard.hasSuffix("-ERR \(text)\r\n+OK QUIT\r\n") && pop3.logins == ["loggedOut"])
        }
        let sieve = try await converse(.managesieve, "AUTHENTICATE \"XOAUTH2\"\r\n\"*\"\r\n")
        #expect(sieve.heard == "\"\"\r\nNO \"Authentication cancelled, mate\"\r\n")
        // There is nothing yet that an initial response could cancel.
        let ahead = try await converse(.managesieve, "AUTHENTICATE \"PLAIN\" \"*\"\r\n")
        #expect(ahead.heard == "NO \"Invalid base64 encoded challenge, mate\"\r\n")
    }

    @Test(arguments: [
        ("PLAIN", "****", "Invalid base64 encoded challenge, mate"),
        ("PLAIN", "x", "Invalid base64 encoded challenge, mate"),
        ("PLAIN", b64("joe"), "Challenge has no authentication id, mate"),
        ("XOAUTH2", "AAA", "Invalid base64 encoded challenge, mate"),
        ("XOAUTH2", b64("user=joe"), "Response has no bearer token, mate"),
        ("XOAUTH2", b64("login=joe\u{1}\(bearer)"), "Invalid beginning of the response, mate"),
        ("XOAUTH2", b64("user=\u{1}\(bearer)"), "Response has no user name, mate"),
        ("XOAUTH2", b64("user=j\u{7f}e\u{1}\(bearer)"), "Invalid user name, mate"),
        ("XOAUTH2", b64("user=joe\u{1}auth=Bearer \u{1}\u{1}"), "Response has no bearer token, mate"),
        ("XOAUTH2", b64("user=joe\u{1}auth=Basic x\u{1}\u{1}"), "Response has no bearer token, mate"),
        ("XOAUTH2", b64("user=joe\u{1}auth=Bearer x\u{1}"), "Response has no bearer token, mate"),
        ("XOAUTH2", b64("user=joe\u{1}auth=Bearer x\u{1}\u{1}y\u{1}\u{1}"), "Response has no bearer token, mate"),
        ("XOAUTH2", b64("user=joe\u{1}auth=Bearer x\0\u{1}\u{1}"), "Response has no bearer token, mate"),
        ("OAUTHBEARER", b64("n,,\u{1}\(bearer)"), "Response has no user name, mate"),
        ("OAUTHBEARER", b64("p=tls-unique,a=joe,\u{1}\(bearer)"), "Invalid beginning of the response, mate"),
        ("OAUTHBEARER", b64("n,a=jo,e,\u{1}\(bearer)"), "Invalid beginning of the response, mate"),
        ("OAUTHBEARER", b64("n,a=jo=2Ee,\u{1}\(bearer)"), "Invalid user name, mate"),
        ("OAUTHBEARER", b64("n,a=joe=2,\u{1}\(bearer)"), "Invalid user name, mate"),
        ("OAUTHBEARER", b64("user=joe\u{1}\(bearer)"), "Invalid beginning of the response, mate"),
        ("OAUTHBEARER", b64("\u{1}\(bearer)"), "Invalid beginning of the response, mate"),
    ])
    func faultsAreNamed(mechanism: String, response: String, text: String) async throws {
        let imap4 = try await converse(.imap4, "a AUTHENTICATE \(mechanism) \(response)\r\nb NOOP\r\n")
        #expect(imap4.heard == "a BAD \(text)\r\nb OK NOOP\r\n")
        #expect(imap4.logins == [])
        #expect(try await converse(.pop3, "AUTH \(mechanism)\r\n\(response)\r\n").heard == "+ \r\n-ERR \(text)\r\n")
        let sieve = try await converse(.managesieve, "AUTHENTICATE \"\(mechanism)\" \"\(response)\"\r\n")
        #expect(sieve.heard == "NO \"\(text)\"\r\n")
    }

    /// `=2C` and `=3D` stand for comma and equals sign in the name (RFC 5801).
    @Test func namesAreUnescaped() async throws {
        let response = b64("y,a=j=2co=3De,\u{1}\(Self.bearer)")
        let logins = try await converse(.imap4, "a AUTHENTICATE OAUTHBEARER \(response)\r\n").logins
        #expect(logins == ["-,j,o=e,\(Self.bearer),OAUTHBEARER"])
    }

    // MARK: What is on offer

    @Test func onlyWhatIsListedIsTaken() async throws {
        let imap4 = try await converse(
            .imap4, "a AUTHENTICATE XOAUTH2 \(Self.xoauth2)\r\nb AUTHENTICATE\r\nc AUTHENTICATE PLAIN\r\n",
            mechanisms: [.login])
        #expect(
            imap4.heard == """
                a NO AUTHENTICATE mechanism not supported, mate\r\nb BAD Mate, try AUTHENTICATE <mechanism>\r
                c NO AUTHENTICATE mechanism not supported, mate\r\n
                """)
        let pop3 = try await converse(.pop3, "AUTH PLAIN \(Self.plain)\r\nAUTH\r\n", mechanisms: [.login])
        #expect(
            pop3.heard == "-ERR AUTH mechanism not supported, mate\r\n+OK Mechanisms follow, mate\r\nLOGIN\r\n.\r\n")
        let sieve = try await converse(
            .managesieve, "AUTHENTICATE \"PLAIN\" \"\(Self.plain)\"\r\n", mechanisms: [.xoauth2])
        #expect(sieve.heard == "NO \"Unknown SASL mechanism, mate\"\r\n")
    }

    /// Without the option everything is as it was.
    @Test func nothingIsOnOfferByItself() async throws {
        let imap4 = try await converse(
            .imap4, "a CAPABILITY\r\nb AUTHENTICATE PLAIN\r\nc AUTHENTICATE PLAIN x\r\n", mechanisms: [])
        #expect(
            imap4.heard == """
                * CAPABILITY IMAP4 IMAP4REV1\r\na OK CAPABILITY\r\nb NO AUTHENTICATE mechanism not supported, mate\r
                c BAD Mate, try AUTHENTICATE <mechanism>\r\n
                """)
        let pop3 = try await converse(.pop3, "CAPA\r\nAUTH PLAIN\r\n", mechanisms: [])
        #expect(
            pop3.heard == """
                +OK Capability list follows, mate\r\nUIDL\r\nUSER\r\n.\r
                -ERR Mate, the command must be one of CAPA, USER, PASS or QUIT\r\n
                """)
        let sieve = try await converse(
            .managesieve, "AUTHENTICATE \"LOGIN\" \"am9l\"\r\nAUTHENTICATE \"PLAIN\" \"\(Self.plain)\"\r\n",
            mechanisms: [])
        #expect(sieve.logins == ["-,joe,secret,-"])
        #expect(sieve.heard.hasPrefix("NO \"Unknown SASL mechanism, mate\"\r\n"))
    }

    @Test func capabilitiesNameThem() async throws {
        let options: @Sendable (inout Options) -> Void = {
            $0.imapCapability = "IMAP4REV1 sasl-ir AUTH=GSSAPI"
            $0.popCapability = "UIDL.SASL GSSAPI.USER"
            $0.managesieveCapability = "\"SASL\" \"GSSAPI\"  \"VERSION\" \"1.0\""
        }
        #expect(
            try await converse(.imap4, "a CAPABILITY\r\n", mechanisms: [.plain, .xoauth2], options).heard
                == "* CAPABILITY IMAP4REV1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2\r\na OK CAPABILITY\r\n")
        #expect(
            try await converse(.pop3, "CAPA\r\n", mechanisms: [.plain, .xoauth2], options).heard
                == "+OK Capability list follows, mate\r\nUIDL\r\nUSER\r\nSASL PLAIN XOAUTH2\r\n.\r\n")
        #expect(
            try await converse(.managesieve, "CAPABILITY\r\n", mechanisms: [.plain, .xoauth2], options).heard
                == "\"SASL\" \"PLAIN XOAUTH2\"\r\n\"VERSION\" \"1.0\"\r\nOK \"CAPABILITY completed, mate\"\r\n")
    }

    /// Where nobody may log in, no mechanism is on offer, and nobody is asked for a password.
    @Test func noMechanismGoesAroundLoginDisabled() async throws {
        let options: @Sendable (inout Options) -> Void = { $0.loginDisabled = true }
        let imap4 = try await converse(
            .imap4, "a CAPABILITY\r\nb AUTHENTICATE PLAIN\r\nc AUTHENTICATE XOAUTH2 \(Self.xoauth2)\r\n", options)
        #expect(
            imap4.heard == """
                * CAPABILITY IMAP4 IMAP4REV1 LOGINDISABLED\r\na OK CAPABILITY\r\nb NO failed: Login Disabled\r
                c NO failed: Login Disabled\r\n
                """)
        let pop3 = try await converse(.pop3, "CAPA\r\nAUTH\r\nAUTH PLAIN \(Self.plain)\r\n", options)
        #expect(
            pop3.heard == """
                +OK Capability list follows, mate\r\nUIDL\r\nUSER\r\n.\r\n+OK Mechanisms follow, mate\r\n.\r
                -ERR failed: Login Disabled\r\n
                """)
        let sieve = try await converse(.managesieve, "AUTHENTICATE \"LOGIN\"\r\nCAPABILITY\r\n", options)
        #expect(sieve.heard.hasPrefix("NO \"failed: Login Disabled\"\r\n"))
        #expect(sieve.heard.contains("\"SASL\" \"\"\r\n"))
        #expect(imap4.logins + pop3.logins + sieve.logins == [])
        // STARTTLS is all that lacks.
        let forced = try await converse(.imap4, "a AUTHENTICATE PLAIN\r\nb CAPABILITY\r\n") {
            $0.sslMode = [.tlsListen, .tlsListenForce]
        }
        #expect(
            forced.heard == """
                a NO [PRIVACYREQUIRED] failed: Login Disabled\r
                * CAPABILITY IMAP4 IMAP4REV1 STARTTLS LOGINDISABLED\r\nb OK CAPABILITY\r\n
                """)
    }

    @Test func aLineWithoutEndEndsIt() async throws {
        let response = String(repeating: "A", count: 9000)
        let imap4 = try await converse(.imap4, "a AUTHENTICATE PLAIN\r\n\(response)\r\n")
        #expect(imap4.heard == "+ \r\n* BYE Line too long, mate\r\n")
        let pop3 = try await converse(.pop3, "AUTH PLAIN\r\n\(response)\r\n")
        #expect(pop3.heard == "+ \r\n-ERR Line too long, mate\r\n")
    }

    // MARK: A token that is refused

    /// The client sees why before it hears that, and its answer to that is no command (RFC 7628 section 3.2.3).
    @Test func theAccountOfARefusedTokenGoesAhead() async throws {
        let refusal = Refusal.token(challenge: Array("e30=".utf8), answer: Array("NO no".utf8))
        let imap4 = try await converse(
            .imap4, "a AUTHENTICATE XOAUTH2 \(Self.xoauth2)\r\n\r\nb NOOP\r\n", refusing: refusal)
        #expect(
            imap4.heard == "+ e30=\r\na NO [AUTHENTICATIONFAILED] failed: Re-Authentication Failure\r\nb OK NOOP\r\n")
        let pop3 = try await converse(
            .pop3, "AUTH OAUTHBEARER\r\n\(Self.oauthbearer)\r\nAQ==\r\nQUIT\r\n", refusing: refusal)
        #expect(pop3.heard == "+ \r\n+ e30=\r\n-ERR [AUTH] failed: Re-Authentication Failure\r\n+OK QUIT\r\n")
        let sieve = try await converse(
            .managesieve, "AUTHENTICATE \"XOAUTH2\" \"\(Self.xoauth2)\"\r\n\"\"\r\nNOOP\r\n", refusing: refusal)
        #expect(
            sieve.heard
                == "\"e30=\"\r\nNO \"failed: Re-Authentication Failure\"\r\nOK \"NOOP completed, mate\"\r\n")
        let own = try await converse(.imap4, "a AUTHENTICATE XOAUTH2 \(Self.xoauth2)\r\n\r\n", refusing: refusal) {
            $0.serverRespLine = true
        }
        #expect(own.heard == "+ e30=\r\na NO no\r\n")
    }

    // MARK: ID

    @Test(arguments: [
        ("a ID NIL", "* ID (\"name\" \"perdition\")\r\na OK ID"),
        ("a id (\"name\" \"mutt\" \"os\" NIL)", "* ID (\"name\" \"perdition\")\r\na OK ID"),
        (
            "a ID (\"name\" {4}\r\nmutt \"os\" {2+}\r\nxy)",
            "+ OK ready for additional input\r\n* ID (\"name\" \"perdition\")\r\na OK ID"
        ),
        ("a ID", "a BAD Mate, try ID NIL"), ("a ID x", "a BAD Mate, try ID NIL"),
        ("a ID ({9000}", "* BYE Literal too large, mate"),
    ])
    func identifiesItself(command: String, answer: String) async throws {
        let heard = try await converse(.imap4, "\(command)\r\nb NOOP\r\n", mechanisms: []).heard
        #expect(heard == answer + (answer.hasPrefix("* BYE") ? "\r\n" : "\r\nb OK NOOP\r\n"))
    }
}
