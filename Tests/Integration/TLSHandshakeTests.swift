import Foundation
import Glibc
import Testing

/// Handshakes that are attacked, that stall, and that are spared.
@Suite(.staged) struct TLSHandshakeTests {
    @Test(arguments: [
        (Flavour.imap4, "a STARTTLS\r\n", "b NOOP\r\n", "* BYE "), (.imap4, "a STARTTLS\r\n", "b", "* BYE "),
        (.imap4, "n NOOP\r\na STARTTLS\r\n", "b LOGIN joe secret\r\n", "* BYE "),
        (.pop3, "STLS\r\n", "CAPA\r\n", "-ERR "), (.pop3, "STLS\r\n", "\u{16}", "-ERR "),
    ])
    func clearTextBehindSTARTTLSEndsTheConnection(
        _ flavour: Flavour, _ command: String, _ injected: String, _ farewell: String
    ) throws {
        let stand = try TLSStand(flavour, ["--ssl_mode", "tls_listen"])
        let client = try stand.proxy.client()
        try client.send(command + injected)
        let answers = try client.restText().split(separator: "\r\n")
        #expect(answers.last?.hasPrefix(farewell) == true, "\(answers)")
        #expect(!answers.contains { $0.contains("Begin TLS") })
        #expect(!answers.contains { $0.hasPrefix("b OK") || $0.contains("Capability list") })
        #expect(stand.server.connections == 0)
    }

    @Test func clearTextThatComesLaterIsNoHandshake() throws {
        let stand = try TLSStand(.imap4, ["--ssl_mode", "tls_listen"])
        let client = try stand.proxy.client()
        let path = try client.path()
        #expect(try client.ask("a STARTTLS").hasPrefix("a OK"))
        try client.send("b LOGIN joe secret\r\n")
        let rest = try client.restText()
        #expect(!rest.contains("b OK"))
        _ = try stand.proxy.message {
            $0.hasPrefix("Fatal error establishing TLS connection: ") && $0.contains(path)
        }
        #expect(stand.server.connections == 0)
    }

    /// How far a client comes before it says nothing more.
    enum Stall: String, CaseIterable, Sendable {
        case atOnce, afterSTARTTLS, inTheHello
    }

    @Test(arguments: Flavour.allCases, Stall.allCases)
    func aHandshakeThatStallsTimesOut(_ flavour: Flavour, _ stall: Stall) throws {
        let mode = stall == .afterSTARTTLS ? "tls_listen" : "ssl_listen"
        let stand = try TLSStand(flavour, ["--ssl_mode", mode, "--authenticate_timeout", "1"])
        let client = try stand.proxy.client(greeted: stall == .afterSTARTTLS)
        let path = try client.path()
        switch stall {
        case .atOnce: break
        case .afterSTARTTLS: _ = try client.ask(flavour == .imap4 ? "a STARTTLS" : "STLS")
        // A handshake record of 512 bytes, a hello in it, and then only its version.
        case .inTheHello: try client.send([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
        }
        #expect(try client.rest().isEmpty)
        _ = try stand.proxy.message { $0.hasPrefix("Fatal error establishing ") && $0.contains(path) }
    }

    @Test(arguments: ["ssl_outgoing", "tls_outgoing"]) func aServerThatStallsIsGivenUp(_ mode: String) throws {
        let server = try FakeServer { session in
            if mode == "tls_outgoing" {
                try session.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] hello")
                let tag = try session.line().prefix { $0 != " " }
                try session.say("\(tag) OK begin")
            }
            try session.waitForEnd()
        }
        let options = ["--ssl_mode", mode, "--outgoing_server", "127.0.0.1:\(server.port)"]
        let proxy = try Perdition(.imap4, options + ["--authenticate_timeout", "1"])
        #expect(try proxy.client().login("joe", "secret").hasSuffix("failed: Connection Negotiation Failure"))
        _ = try proxy.message { $0.contains("said nothing for too long (TLS handshake)") }
        try eventually("the server is left") { server.openConnections == 0 }
    }

    @Test func aPlainClientOnASecurePortIsNotServed() throws {
        let stand = try TLSStand(.imap4, ["--ssl_mode", "ssl_listen"])
        let client = try stand.proxy.client(greeted: false)
        try client.send("a LOGIN joe secret\r\n")
        #expect(try !client.restText().contains("OK"))
        _ = try stand.proxy.message { $0.hasPrefix("Fatal error establishing SSL connection to client") }
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"], ["ssl_listen", "tls_listen"])
    func aSessionIsResumed(_ version: String, _ mode: String) throws {
        let stand = try TLSStand(.imap4, ["--ssl_mode", mode])
        let authority = try stand.authority.root.get()
        let file = stand.authority.directory.file("session")
        let starttls = mode == "tls_listen" ? Flavour.imap4 : nil
        let lines = SClient.session(.imap4, "joe", "secret")
        let first = try SClient.run(
            stand.proxy.port, starttls: starttls, authority: authority, [version, "-ign_eof", "-sess_out", file],
            lines: lines)
        #expect(first.output.contains("New, TLSv1."), "\(first.output)")
        #expect(first.output.contains("a OK You are so in"))
        // A ticket may be used more than once: a mail program opens several connections.
        for _ in 0..<2 {
            let next = try SClient.run(
                stand.proxy.port, starttls: starttls, authority: authority, [version, "-ign_eof", "-sess_in", file],
                lines: lines)
            #expect(next.output.contains("Reused, TLSv1."), "\(next.output)")
            #expect(next.output.contains("a OK You are so in"))
        }
    }

    @Test func reconnectingResumes() throws {
        let stand = try TLSStand(.imap4, ["--ssl_mode", "ssl_listen", "--threads", "2"])
        let (_, output) = try SClient.run(
            stand.proxy.port, authority: stand.authority.root.get(), ["-tls1_2", "-reconnect"], lines: [])
        let reused = output.split(separator: "\n").filter { $0.hasPrefix("Reused, TLSv1.2") }.count
        #expect(reused == 5, "s_client reconnects five times: \(output)")
    }

    @Test func aSessionWithARealServerIsResumed() throws {
        let authority = try Authority()
        let identity = try authority.issue("mail.test")
        let server = try ResumptionServer(identity)
        let proxy = try Perdition(
            .imap4,
            [
                "--ssl_mode", "ssl_outgoing", "--ssl_ca_file", authority.root.get().certificate, "--threads", "1",
                "--outgoing_server", "127.0.0.1:\(server.port)",
            ])
        for _ in 0..<3 { #expect(try proxy.client().login("joe", "secret") == "a OK You are so in") }
        try eventually("three sessions") { server.sessions.count == 3 }
        #expect(server.sessions == ["new", "resumed", "resumed"])
    }
}

/// An IMAP4 server of Python's that tells which handshakes were spared.
final class ResumptionServer {
    let port: UInt16
    private let process: ChildProcess
    private let directory: TemporaryDirectory

    init(_ identity: Authority.Identity) throws {
        directory = try TemporaryDirectory()
        port = try FreePort.next()
        process = try ChildProcess(
            Programs.debian("python3"),
            ["\(Programs.source)/Tests/Clients/tls_server.py", "\(port)", identity.chain, identity.key],
            log: directory.file("log"))
        try process.waitUntilListening(on: port)
    }

    /// `new` or `resumed` for each, in order.
    var sessions: [String] { process.logLines }
}
