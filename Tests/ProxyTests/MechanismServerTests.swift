import Foundation
import Loop
import Testing

@testable import Proxy

private func b64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

/// How names with passwords and tokens reach a real server, by what it offers.
@Suite(.timeLimit(.minutes(2))) struct MechanismServerTests {
    private static let bearer = "auth=Bearer abc\u{1}\u{1}"
    private static let xoauth2 = b64("user=joe\u{1}\(bearer)")
    private static let oauthbearer = b64("n,a=j=2Co=3De,\u{1}\(bearer)")
    private static let asJim = b64("jim\0joe\0secret")

    private func logIn(
        _ protocolName: ProtocolName, name: String = "joe", authorization: String? = nil, password: String = "secret",
        token: Mechanism? = nil, saying script: String, _ set: @escaping @Sendable (inout Options) -> Void = { _ in }
    ) async throws -> (result: String, heard: String) {
        let (result, heard) = try await hold(saying: Array(script.utf8)) { _, stream in
            var options = Options()
            options.protocolName = protocolName
            set(&options)
            let back = Back(
                stream: stream, options: options, identity: "ready on me 0001", host: "mail", address: try .sample())
            let server: any MailServer =
                switch protocolName {
                case .imap4: IMAP4Server(back)
                case .pop3: POP3Server(back)
                default: ManageSieveServer(back)
                }
            let credentials = Credentials(
                authenticationID: Array(name.utf8), authorizationID: authorization.map { Array($0.utf8) },
                password: Secret(Array((token == nil ? password : Self.bearer).utf8)), token: token)
            do throws(ServerError) {
                try await server.open()
                return try await server.logIn(credentials).answer.text
            } catch {
                if case .refused = error { await server.quit() }
                return switch error {
                case .refused(.token(let challenge, let answer)): "token \(challenge.text) \(answer.text)"
                case .refused(let refusal): "refused: \(refusal.reason)"
                case .broken(let text): "broken: \(text)"
                }
            }
        }
        return (result, heard)
    }

    // MARK: IMAP4

    @Test func imap4PassesTokensOn() async throws {
        let ahead = try await logIn(
            .imap4, token: .xoauth2, saying: "* OK [CAPABILITY SASL-IR AUTH=xoauth2] hi\r\nflim07 OK in\r\n")
        #expect(ahead == ("OK in", "flim07 AUTHENTICATE XOAUTH2 \(Self.xoauth2)\r\n"))
        let asked = try await logIn(
            .imap4, name: "j,o=e", token: .oauthbearer,
            saying: "* OK hi\r\n* CAPABILITY AUTH=OAUTHBEARER\r\nflim07 OK\r\n+ \r\nflim08 OK in\r\n")
        #expect(asked.result == "OK in")
        #expect(
            asked.heard
                == "flim07 CAPABILITY\r\nflim08 AUTHENTICATE OAUTHBEARER\r\n\(Self.oauthbearer)\r\n")
        for offer in ["AUTH=PLAIN", "AUTH=XOAUTH", "XOAUTH2"] {
            let none = try await logIn(
                .imap4, token: .xoauth2, saying: "* OK [CAPABILITY \(offer)] hi\r\n* BYE\r\n")
            #expect(none == ("refused: SASL mechanism unavailable", "flim07 LOGOUT\r\n"))
        }
    }

    @Test func imap4AnswersTheAccountOfARefusedToken() async throws {
        for (mechanism, answer) in [(Mechanism.xoauth2, ""), (.oauthbearer, "AQ==")] {
            let greeting = "* OK [CAPABILITY SASL-IR AUTH=\(mechanism.rawValue)] hi\r\n"
            let refused = try await logIn(
                .imap4, token: mechanism, saying: greeting + "+ e30=\r\nflim07 NO no\r\n* BYE\r\n")
            #expect(refused.result == "token e30= NO no")
            #expect(refused.heard.hasSuffix("\r\n\(answer)\r\nflim08 LOGOUT\r\n"))
            let down = try await logIn(
                .imap4, token: mechanism, saying: greeting + "+ e30=\r\nflim07 NO [UNAVAILABLE] x\r\n* BYE\r\n")
            #expect(down.result == "refused: Real server unavailable")
            for script in ["+ e30=\r\n+ e30=\r\n", "+ e3\u{1}\r\n"] {
                #expect(
                    try await logIn(.imap4, token: mechanism, saying: greeting + script).result.hasPrefix("broken"))
            }
        }
    }

    /// LOGIN cannot say as whom to act; and a server may take no LOGIN.
    @Test func imap4UsesPLAINWhereItMust() async throws {
        let other = try await logIn(
            .imap4, authorization: "jim", saying: "* OK [CAPABILITY SASL-IR AUTH=PLAIN] hi\r\nflim07 OK in\r\n")
        #expect(other == ("OK in", "flim07 AUTHENTICATE PLAIN \(Self.asJim)\r\n"))
        let same = try await logIn(
            .imap4, authorization: "joe", saying: "* OK [CAPABILITY SASL-IR AUTH=PLAIN] hi\r\nflim07 OK in\r\n")
        #expect(same.heard == "flim07 LOGIN \"joe\" \"secret\"\r\n")
        let disabled = try await logIn(
            .imap4, saying: "* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN] hi\r\n+ \r\nflim07 OK in\r\n")
        #expect(disabled == ("OK in", "flim07 AUTHENTICATE PLAIN\r\n\(b64("\0joe\0secret"))\r\n"))
        let none = try await logIn(.imap4, authorization: "jim", saying: "* OK [CAPABILITY X] hi\r\n* BYE\r\n")
        #expect(none.result == "refused: SASL mechanism unavailable")
    }

    // MARK: POP3

    private static let capabilities = "+OK\r\nUIDL\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\n.\r\n"

    @Test func pop3PassesTokensOn() async throws {
        let short = try await logIn(
            .pop3, token: .xoauth2, saying: "+OK hi\r\n\(Self.capabilities)+OK in\r\n")
        #expect(short == ("+OK in", "CAPA\r\nAUTH XOAUTH2 \(Self.xoauth2)\r\n"))
        // A command of more than 255 bytes is none.
        let name = String(repeating: "x", count: 200)
        let long = try await logIn(
            .pop3, name: name, token: .xoauth2, saying: "+OK hi\r\n\(Self.capabilities)+ \r\n+OK in\r\n")
        #expect(long == ("+OK in", "CAPA\r\nAUTH XOAUTH2\r\n\(b64("user=\(name)\u{1}\(Self.bearer)"))\r\n"))
        let none = try await logIn(.pop3, token: .xoauth2, saying: "+OK hi\r\n+OK\r\nSASL PLAIN\r\n.\r\n+OK\r\n")
        #expect(none == ("refused: SASL mechanism unavailable", "CAPA\r\nQUIT\r\n"))
        let silent = try await logIn(.pop3, token: .xoauth2, saying: "+OK hi\r\n-ERR what\r\n+OK\r\n")
        #expect(silent.result == "refused: SASL mechanism unavailable")
    }

    @Test func pop3AnswersTheAccountOfARefusedToken() async throws {
        for (mechanism, answer) in [(Mechanism.xoauth2, ""), (.oauthbearer, "AQ==")] {
            let refused = try await logIn(
                .pop3, token: mechanism, saying: "+OK hi\r\n\(Self.capabilities)+ e30=\r\n-ERR [AUTH] no\r\n+OK\r\n")
            #expect(refused.result == "token e30= -ERR [AUTH] no")
            #expect(refused.heard.hasSuffix("\r\n\(answer)\r\nQUIT\r\n"))
        }
    }

    @Test func pop3UsesPLAINWhereItMust() async throws {
        let other = try await logIn(
            .pop3, authorization: "jim", saying: "+OK hi\r\n\(Self.capabilities)+OK in\r\n")
        #expect(other == ("+OK in", "CAPA\r\nAUTH PLAIN \(Self.asJim)\r\n"))
        let script = "+OK hi\r\n-ERR unknown command\r\n+OK\r\nSASL PLAIN\r\n.\r\n+OK in\r\n"
        let refused = try await logIn(.pop3, saying: script) { $0.saslMechanisms = [.plain] }
        #expect(refused == ("+OK in", "USER joe\r\nCAPA\r\nAUTH PLAIN \(b64("\0joe\0secret"))\r\n"))
        // Elsewhere a server hears what it always heard.
        #expect(try await logIn(.pop3, saying: script).heard == "USER joe\r\nQUIT\r\n")
        // A refusal stays one, where USER is known and where the connection ends.
        for script in ["+OK hi\r\n-ERR no\r\n+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n+OK\r\n", "+OK hi\r\n-ERR no\r\n"] {
            let result = try await logIn(.pop3, saying: script) { $0.saslMechanisms = [.plain] }.result
            #expect(result == "refused: Re-Authentication Failure")
        }
    }

    /// A password with a line end in it would be a command of its own.
    @Test(arguments: ["a\r\nDELE 1", "a\nb", "a\rb"]) func pop3SendsNoPasswordThatWouldBeACommand(password: String)
        async throws
    {
        let result = try await logIn(.pop3, password: password, saying: "+OK hi\r\n+OK\r\n+OK\r\n")
        #expect(result == ("refused: Re-Authentication Failure", "QUIT\r\n"))
    }

    // MARK: ManageSieve

    @Test func manageSievePassesTokensOn() async throws {
        let short = try await logIn(
            .managesieve, token: .xoauth2, saying: "\"SASL\" \"PLAIN xoauth2\"\r\nOK\r\nOK \"in\"\r\n")
        #expect(short == ("OK \"in\"", "AUTHENTICATE \"XOAUTH2\" \"\(Self.xoauth2)\"\r\n"))
        let none = try await logIn(
            .managesieve, token: .xoauth2, saying: "\"SASL\" \"PLAIN\"\r\nOK\r\nOK\r\n")
        #expect(none == ("refused: SASL mechanism unavailable", "LOGOUT\r\n"))
        for (mechanism, answer) in [(Mechanism.xoauth2, ""), (.oauthbearer, "AQ==")] {
            let refused = try await logIn(
                .managesieve, token: mechanism,
                saying: "\"SASL\" \"XOAUTH2 OAUTHBEARER\"\r\nOK\r\n\"e30=\"\r\nNO \"no\"\r\nOK\r\n")
            #expect(refused.result == "token e30= NO \"no\"")
            #expect(refused.heard.hasSuffix("\r\n\"\(answer)\"\r\nLOGOUT\r\n"))
        }
    }
}
