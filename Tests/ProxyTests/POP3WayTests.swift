import Foundation
import Loop
import Testing

@testable import Proxy

/// Servers of POP3 that take a login in one round trip get it that way, and all others as ever.
@Suite(.timeLimit(.minutes(2))) struct POP3WayTests {
    /// One login of several, in turn, at the same server.
    private struct Visit: Sendable {
        var script: String
        var login = Login("joe", "secret")

        /// - Parameter script: what the server says behind its greeting, a blank between two lines.
        init(_ script: String, _ login: Login = Login("joe", "secret")) {
            let lines = "+OK_hi \(script)".split(separator: " ")
            self.script = lines.map { "\($0)\r\n" }.joined().replacing("_", with: " ")
            self.login = login
        }
    }

    /// What each of the logins came to, and what the server heard, a blank between two lines.
    private func logIn(
        _ visits: [Visit], _ set: @escaping @Sendable (inout Options) -> Void = { _ in }
    ) async throws -> [String] {
        try await onLoop { loop in
            var options = Options()
            options.protocolName = .pop3
            set(&options)
            let memory = CapabilityMemory(loop.thread)
            var results: [String] = []
            for visit in visits {
                let conversation = try Conversation(saying: Array(visit.script.utf8), on: loop)
                let server = POP3Server(
                    Back(
                        stream: conversation.stream, settings: Settings(options), identity: "ready on me 0001",
                        host: "mail", address: try .sample(), memory: memory))
                var result: String
                do throws(ServerError) {
                    try await server.open()
                    result = try await server.logIn(visit.login.credentials).answer.text
                } catch {
                    if case .refused = error { await server.quit() }
                    result =
                        switch error {
                        case .refused(.authentication(let answer)): answer.text
                        case .refused(let refusal): refusal.reason
                        case .broken(let text): text
                        }
                }
                let heard = conversation.end().split(separator: "\r\n").joined(separator: " | ")
                results.append("\(result): \(heard)")
            }
            return results
        }
    }

    private static let plain = "AUTH PLAIN \(Data("\0joe\0secret".utf8).base64EncodedString())"
    private static let inTurn = "USER joe | PASS secret"

    @Test func asksOnceAndLogsInAsEver() async throws {
        for capabilities in ["+OK USER UIDL .", "+OK PIPELINING TOP .", "-ERR_what", "+OK ."] {
            let results = try await logIn([Visit("\(capabilities) +OK +OK_in"), Visit("+OK +OK_in")])
            #expect(results == ["+OK in: CAPA | \(Self.inTurn)", "+OK in: \(Self.inTurn)"], "\(capabilities)")
        }
    }

    /// Where the connection ends before there is an answer to USER, only a server that takes both at once has heard PASS.
    @Test func sendsBothAtOnceWhereTheServerTakesThat() async throws {
        let capabilities = "+OK user SASL_PLAIN pipelining ."
        let results = try await logIn([Visit("\(capabilities) +OK +OK_in"), Visit("+OK +OK_in"), Visit("")])
        #expect(
            results == [
                "+OK in: CAPA | \(Self.inTurn)", "+OK in: \(Self.inTurn)",
                "closed the connection (waiting for the answer to USER): \(Self.inTurn)",
            ])
        let other = try await logIn([Visit("+OK USER . +OK +OK_in"), Visit("")])
        #expect(other.last == "closed the connection (waiting for the answer to USER): USER joe")
    }

    /// The answer to PASS would else be taken for that to QUIT, or to what else follows.
    @Test func readsBothAnswersWhereUSERIsRefused() async throws {
        let results = try await logIn([
            Visit("+OK USER PIPELINING . -ERR_no -ERR_not_now +OK_bye"), Visit("-ERR_[SYS/TEMP]_x -ERR_y +OK_bye"),
            Visit("-ERR_gone"),
        ])
        #expect(
            results == [
                "-ERR no: CAPA | \(Self.inTurn) | QUIT", "Real server unavailable: \(Self.inTurn) | QUIT",
                "-ERR gone: \(Self.inTurn) | QUIT",
            ])
        // It lists USER, so what it refuses is the user.
        let plain = try await logIn([Visit("+OK USER PIPELINING . -ERR_no -ERR_no +OK SASL_PLAIN . +OK_in")]) {
            $0.saslMechanisms = [.plain]
        }
        #expect(plain == ["-ERR no: CAPA | \(Self.inTurn) | QUIT"])
    }

    /// A server that has changed may take the second command for nothing, and be silent: the next login asks again.
    @Test func asksAgainWhereBothAtOnceDidNotWork() async throws {
        let results = try await logIn([
            Visit("+OK USER PIPELINING . +OK +OK_in"), Visit("+OK"), Visit("+OK USER . +OK +OK_in"),
            Visit("+OK +OK_in"),
        ])
        #expect(
            results.map { $0.contains("CAPA") } == [true, false, true, false]
                && results[1].hasPrefix("closed the connection (waiting for the answer to PASS)"), "\(results)")
    }

    @Test func saysPLAINAtOnceWhereTheServerTakesThat() async throws {
        for capabilities in ["+OK USER SASL_PLAIN .", "+OK sasl_login_plain ."] {
            let results = try await logIn([
                Visit("\(capabilities) +OK_in"), Visit("+OK_in"), Visit("-ERR_[AUTH]_no +OK"),
            ])
            #expect(
                results == [
                    "+OK in: CAPA | \(Self.plain)", "+OK in: \(Self.plain)", "-ERR [AUTH] no: \(Self.plain) | QUIT",
                ])
        }
    }

    /// Some list PLAIN and refuse it with an initial response, or have no account behind it that USER has.
    @Test func triesUSERBehindARefusalUntilPLAINHasWorked() async throws {
        let results = try await logIn([
            Visit("+OK USER SASL_PLAIN . -ERR_protocol_error +OK -ERR_wrong +OK_bye"),
            Visit("-ERR_protocol_error +OK +OK_in"), Visit("+OK +OK_in"),
        ])
        #expect(
            results == [
                "-ERR wrong: CAPA | \(Self.plain) | \(Self.inTurn) | QUIT", "+OK in: \(Self.plain) | \(Self.inTurn)",
                "+OK in: \(Self.inTurn)",
            ])
        // What says more than the end of the connection that came of it.
        let ending = try await logIn([Visit("+OK USER SASL_PLAIN . -ERR_protocol_error")])
        #expect(ending == ["-ERR protocol error: CAPA | \(Self.plain) | USER joe | QUIT"])
        let elsewhere = try await logIn([Visit("+OK USER SASL_PLAIN . -ERR_[AUTH]_no +OK_bye")])
        #expect(elsewhere == ["-ERR [AUTH] no: CAPA | \(Self.plain) | QUIT"])
        let temporary = try await logIn([Visit("+OK USER SASL_PLAIN . -ERR_[SYS/TEMP]_no +OK_bye")])
        #expect(temporary == ["Real server unavailable: CAPA | \(Self.plain) | QUIT"])
    }

    @Test func believesARefusalOncePLAINHasWorked() async throws {
        let results = try await logIn([
            Visit("+OK USER SASL_PLAIN . +OK_in"), Visit("-ERR_no +OK SASL_PLAIN . +OK_bye"), Visit("-ERR_no"),
            // The server has been replaced.
            Visit("-ERR_what +OK USER . +OK +OK_in"), Visit("+OK +OK_in"),
        ])
        #expect(
            results == [
                "+OK in: CAPA | \(Self.plain)", "-ERR no: \(Self.plain) | CAPA | QUIT",
                "-ERR no: \(Self.plain) | CAPA | QUIT", "+OK in: \(Self.plain) | CAPA | \(Self.inTurn)",
                "+OK in: \(Self.inTurn)",
            ])
    }

    @Test func takesTheResponseBackFromWhoAsksForIt() async throws {
        let results = try await logIn([
            Visit("+OK USER SASL_PLAIN . +_ -ERR_cancelled +OK +OK_in"), Visit("+OK +OK_in"),
        ])
        #expect(results == ["+OK in: CAPA | \(Self.plain) | * | \(Self.inTurn)", "+OK in: \(Self.inTurn)"])
    }

    /// One login is lost to such a server, not each.
    @Test func doesNotRepeatWhatEndedTheConnection() async throws {
        let results = try await logIn([Visit(""), Visit("+OK +OK_in")])
        #expect(
            results == ["closed the connection (waiting for the capabilities): CAPA", "+OK in: \(Self.inTurn)"])
        let plain = try await logIn([Visit("+OK SASL_PLAIN ."), Visit("+OK +OK_in")])
        #expect(plain.last == "+OK in: \(Self.inTurn)")
    }

    /// What RFC 4616 would want in UTF-8, and what fits in no command.
    @Test(arguments: [
        Login("jürgen", "secret"), Login("joe", "\u{e4}"), Login("joe", "a\tb"), Login("joe", ""),
        Login(String(repeating: "x", count: 180), "secret"),
    ])
    func leavesOtherNamesToUSER(login: Login) async throws {
        let results = try await logIn([Visit("+OK SASL_PLAIN . +OK +OK_in", login)])
        #expect(results == ["+OK in: CAPA | USER \(login.name) | PASS \(login.password)"])
    }

    /// RFC 2449 section 4: 255 bytes with the line's end.
    @Test func fillsACommandToItsLimit() async throws {
        for (count, isPlain) in [(172, true), (173, false)] {
            let login = Login(String(repeating: "x", count: count), "secret")
            let heard = try await logIn([Visit("+OK SASL_PLAIN . +OK +OK_in", login)])[0]
            #expect(heard.contains("AUTH PLAIN") == isPlain, "\(count)")
        }
    }

    /// A program for each session would ask each time.
    @Test func asksNobodyFromInetd() async throws {
        let results = try await logIn([Visit("+OK +OK_in")]) { $0.inetdMode = true }
        #expect(results == ["+OK in: \(Self.inTurn)"])
    }

    @Test func remembersServersApartAndForAWhile() async throws {
        try await onLoop { loop in
            let memory = CapabilityMemory(loop.thread)
            let clear = CapabilityMemory.Server(address: try .sample(), isPrivate: false)
            let secure = CapabilityMemory.Server(address: try .sample(), isPrivate: true)
            memory.remember(.together, to: secure, for: POP3Way.lifetime)
            #expect(memory.way(to: clear) == nil)
            #expect(memory.way(to: secure) == .together)
            memory.remember(.inTurn, to: secure, for: 0)
            #expect(memory.way(to: secure) == nil)
        }
    }
}
