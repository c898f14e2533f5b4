import Foundation
import Testing

@testable import TLS

@Suite struct ResumptionTests {
    let authority: Authority
    let root: Authority.Identity
    let server: TLSContext

    init() throws {
        authority = try Authority()
        root = try authority.issue("Root", isCA: true)
        server = try .server(
            ServerTLSOptions(authority.issue("mail.test", by: root, alternatives: "DNS:two.test")))
    }

    private func client(_ version: String, _ change: (inout ClientTLSOptions) -> Void = { _ in }) throws -> TLSContext {
        var options = ClientTLSOptions(trusting: root.certificate)
        options.maximumVersion = version
        change(&options)
        return try .client(options)
    }

    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func secondConnectionResumes(version: String) throws {
        let context = try client(version)
        let sessions = TLSSessions(context)
        for round in 0..<5 {
            let pair = try ConnectionPair(context, server, name: "mail.test", sessions: sessions)
            #expect(pair.shakeHands())
            #expect(pair.client.isResumed == (round > 0))
            #expect(pair.server.isResumed == (round > 0))
            #expect(pair.client.peerVerification == .verified)
            #expect(pair.greet() == "hello")
            #expect(sessions.count == 1)
        }
    }

    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func onlyWithTheSameServer(version: String) throws {
        let context = try client(version)
        let sessions = TLSSessions(context)
        for (name, port, isResumed) in [
            ("mail.test", 993, false), ("mail.test", 995, false), ("two.test", 993, false), ("Mail.test.", 993, true),
        ] {
            let pair = try ConnectionPair(context, server, name: name, sessions: sessions, port: UInt16(port))
            #expect(pair.shakeHands())
            #expect(pair.client.isResumed == isResumed, "\(name) \(port)")
            #expect(pair.greet() == "hello")
        }
    }

    /// With `ssl_no_session_tickets`, also for who has a ticket from before.
    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func notWithoutTickets(version: String) throws {
        let keys = TicketKeys()
        var options = try ServerTLSOptions(authority.issue("mail.test", by: root))
        let before = try TLSContext.server(options, tickets: keys)
        options.sendsTickets = false
        let without = try TLSContext.server(options, tickets: keys)
        let context = try client(version)
        let (fresh, old) = (TLSSessions(context), TLSSessions(context))
        let rounds = [
            (without, fresh, false), (without, fresh, false), (before, old, false), (before, old, true),
            (without, old, false),
        ]
        for (number, (server, sessions, isResumed)) in rounds.enumerated() {
            let pair = try ConnectionPair(context, server, name: "mail.test", sessions: sessions)
            #expect(pair.shakeHands())
            #expect(pair.server.isResumed == isResumed, "round \(number)")
            #expect(pair.greet() == "hello")
        }
        #expect(fresh.count == 0)
    }

    @Test func notUnderAnotherPolicy() throws {
        let lax = try client("") { $0.verifiesCertificate = false }
        let strict = try client("") { $0.trust.caFile = "" }
        let sessions = TLSSessions(lax)
        let first = try ConnectionPair(lax, server, name: "mail.test", sessions: sessions)
        #expect(first.shakeHands())
        #expect(first.greet() == "hello")
        let second = try ConnectionPair(strict, server, name: "mail.test", sessions: sessions)
        #expect(!second.shakeHands())
        #expect(second.clientFault?.kind == .certificate)
    }

    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func excusesAreRemembered(version: String) throws {
        let own = try TLSContext.server(ServerTLSOptions(authority.issue("mail.test", start: -10, end: -1)))
        let context = try client(version) {
            $0.trust.acceptsSelfSigned = true
            $0.trust.acceptsExpired = true
        }
        let sessions = TLSSessions(context)
        for isResumed in [false, true] {
            let pair = try ConnectionPair(context, own, name: "mail.test", sessions: sessions)
            #expect(pair.shakeHands())
            #expect(pair.client.isResumed == isResumed)
            #expect(pair.client.peerVerification == .excused)
            #expect(pair.greet() == "hello")
        }
    }

    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func wrongNamesLeaveNoSession(version: String) throws {
        let context = try client(version)
        let sessions = TLSSessions(context)
        for _ in 0..<2 {
            let pair = try ConnectionPair(context, server, name: "other.test", sessions: sessions)
            #expect(!pair.shakeHands())
            #expect(pair.clientFault?.kind == .name)
            #expect(sessions.count == 0)
        }
    }

    // What the check of a chain needed is dropped after it; the session must live on without.
    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func chainsAreDropped(version: String) throws {
        let middle = try authority.issue("Middle", by: root, isCA: true)
        let leaf = try authority.issue("mail.test", by: middle)
        var options = ServerTLSOptions(leaf)
        options.certificateFile = try authority.join(leaf.certificate, middle.certificate)
        let server = try TLSContext.server(options)
        let context = try client(version)
        let sessions = TLSSessions(context)
        for round in 0..<3 {
            let pair = try ConnectionPair(context, server, name: "mail.test", sessions: sessions)
            #expect(pair.shakeHands())
            #expect(pair.client.isResumed == (round > 0))
            #expect(pair.client.peerVerification == .verified)
            #expect(pair.greet() == "hello")
            let wrong = try ConnectionPair(context, server, name: "other.test", sessions: sessions)
            #expect(!wrong.shakeHands())
        }
    }

    @Test func theStoreIsBounded() throws {
        let lax = try client("tlsv1.2") { $0.verifiesName = false }
        let sessions = TLSSessions(lax, limit: 3)
        for number in 0..<10 {
            #expect(try ConnectionPair(lax, server, name: "s\(number).test", sessions: sessions).shakeHands())
            #expect(sessions.count == min(number + 1, 3))
        }
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"]) func ticketsForOtherClients(version: String) throws {
        let server = try TinyServer(self.server)
        let file = "\(authority.directory)/session"
        for (option, isResumed) in [("-sess_out", false), ("-sess_in", true)] {
            let client = try CommandLineClient(port: server.port, [version, option, file])
            client.type("a NOOP\n")
            let session = try server.serveOne(andHangUp: true)
            let printed = client.readAll()
            #expect(session.isResumed == isResumed)
            #expect(printed.contains(isResumed ? "Reused, TLSv1" : "New, TLSv1"))
        }
    }

    // With client certificates asked for, resumption needs the context to have a name.
    @Test func ticketsOfClientsWithACertificate() throws {
        let joe = try authority.issue("joe", by: root)
        var options = ServerTLSOptions(try authority.issue("mail.test", by: root))
        options.trust.caFile = root.certificate
        let server = try TinyServer(.server(options))
        let file = "\(authority.directory)/session"
        for (option, isResumed) in [("-sess_out", false), ("-sess_in", true)] {
            let client = try CommandLineClient(
                port: server.port, ["-cert", joe.certificate, "-key", joe.key, option, file])
            client.type("a NOOP\n")
            let session = try server.serveOne(andHangUp: true)
            _ = client.readAll()
            #expect(session.isResumed == isResumed)
            #expect(session.verification == .verified)
        }
    }
}
