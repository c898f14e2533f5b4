import Foundation
import Glibc
import Testing

/// Passwords are gone from memory once a login is over: a core image, or whoever takes over the worker later, has none.
@Suite(.staged, .enabled(if: getuid() == 0, "needs root: memory of other users' processes"))
struct SecretTests {
    /// Nothing that any program holds by itself.
    private static let password = "Xq7Zk9WvLm3Rt5Hd"

    /// Parts of the password, and of what Base64 makes of it wherever it begins.
    private static var needles: [[UInt8]] {
        let bytes = Array(password.utf8)
        var needles = [Array(bytes.prefix(8)), Array(bytes.suffix(8))]
        for shift in 0..<3 {
            let text = Data(Array(repeating: 65, count: shift) + bytes).base64EncodedString()
            // The first and the last four characters depend on what is around it.
            needles.append(Array(text.utf8.dropFirst(shift == 0 ? 0 : 4).prefix(12)))
        }
        return needles
    }

    private static let plain = Data("\0joe\0\(password)".utf8).base64EncodedString()

    /// What a client does; comes back with the session idle.
    enum Way: String, CaseIterable, Sendable {
        case imapWords, imapQuoted, imapLiteral, imapLateInARecord, imapByte, imapRefused, imapRefusedThenIn, imapLeft
        case imapAuthenticate, imapAuthenticateAtOnce, popAuth
        case popWords, popRefused, sievePlain, sieveLiteral, sieveRefused

        var program: String {
            rawValue.hasPrefix("imap")
                ? "perdition.imap4" : rawValue.hasPrefix("pop") ? "perdition.pop3" : "perdition.managesieve"
        }

        func server() throws -> FakeServer {
            let users = ["joe": SecretTests.password, "jim": "other"]
            switch program {
            case "perdition.imap4": return try .mail(.imap4, users: users)
            case "perdition.pop3": return try .mail(.pop3, users: users)
            default:
                guard self == .sieveRefused else { return try FakeServer { try $0.serveManageSieve() } }
                return try FakeServer { session in
                    for line in ["\"SASL\" \"PLAIN\"", "OK \"at your service\""] { try session.say(line) }
                    while try session.lineOrEnd(within: 60) != nil { try session.say("NO \"who are you\"") }
                }
            }
        }

        func run(_ client: MailClient) throws {
            let password = SecretTests.password
            switch self {
            case .imapWords: #expect(try client.login("joe", password) == "a OK You are so in")
            case .imapQuoted: #expect(try client.login("joe", "\"\(password)\"") == "a OK You are so in")
            case .imapLiteral:
                try client.send("a LOGIN {3}\r\n")
                _ = try client.line()
                try client.send("joe {\(password.utf8.count)}\r\n")
                _ = try client.line()
                #expect(try client.ask(password) == "a OK You are so in")
            case .imapLateInARecord:
                let noise = String(repeating: "n NOOP\r\n", count: 60)
                try client.send(noise + "a LOGIN joe \(password)\r\n")
                #expect(try client.lines { $0.hasPrefix("a ") }.last == "a OK You are so in")
            case .imapByte:
                for byte in "a LOGIN joe \(password)\r\n".utf8 {
                    try client.send([byte])
                    Nap.milliseconds(2)
                }
                #expect(try client.line() == "a OK You are so in")
            case .imapRefused: #expect(try client.login("eve", password).hasPrefix("a NO"))
            case .imapRefusedThenIn:
                #expect(try client.login("eve", password).hasPrefix("a NO"))
                #expect(try client.login("jim", "other", tag: "b") == "b OK You are so in")
            case .imapLeft:
                try client.send("a LOGIN joe \(password)")
                Nap.milliseconds(200)
                client.hangUp()
            case .imapAuthenticate:
                #expect(try client.ask("a AUTHENTICATE PLAIN").hasPrefix("+"))
                #expect(try client.ask(SecretTests.plain) == "a OK You are so in")
            case .imapAuthenticateAtOnce:
                #expect(try client.ask("a AUTHENTICATE PLAIN \(SecretTests.plain)") == "a OK You are so in")
            case .popAuth:
                #expect(try client.ask("AUTH PLAIN").hasPrefix("+"))
                #expect(try client.ask(SecretTests.plain) == "+OK You are so in")
            case .popWords: #expect(try client.pass("joe", password) == "+OK You are so in")
            case .popRefused: #expect(try client.pass("eve", password).hasPrefix("-ERR"))
            case .sievePlain:
                #expect(try client.ask("AUTHENTICATE \"PLAIN\" \"\(SecretTests.plain)\"") == "OK \"You are so in\"")
            case .sieveLiteral:
                try client.send("AUTHENTICATE \"PLAIN\" {\(SecretTests.plain.utf8.count)+}\r\n\(SecretTests.plain)\r\n")
                #expect(try client.line() == "OK \"You are so in\"")
            case .sieveRefused:
                #expect(try client.ask("AUTHENTICATE \"PLAIN\" \"\(SecretTests.plain)\"").hasPrefix("NO"))
            }
        }
    }

    private func check(_ way: Way, _ options: [String], secure: Bool) throws {
        let server = try way.server()
        let proxy = try Perdition(
            name: way.program,
            ["--outgoing_server", "127.0.0.1:\(server.port)", "--sasl_mechanisms", "PLAIN"] + options)
        let client = try proxy.client(greeted: false, secure: secure)
        _ = try way.program == "perdition.managesieve" ? client.lines { $0.hasPrefix("OK ") }.last : client.line()
        try way.run(client)
        // The line in the log is written at the end of the loop's turn.
        Nap.milliseconds(200)
        for process in proxy.family {
            let hits = try ProcessMemory(pid: process.pid).search(for: Self.needles)
            #expect(hits.isEmpty, "\(way) left it in \(process.name) (\(process.pid)): \(hits)")
        }
        withExtendedLifetime(client) {}
    }

    @Test(arguments: Way.allCases) func aPasswordInClearTextIsGone(_ way: Way) throws {
        try check(way, ["--connection_logging"], secure: false)
    }

    @Test(arguments: Way.allCases, ["tlsv1.2", "tlsv1.3"]) func aPasswordInTLSIsGone(_ way: Way, _ version: String)
        throws
    {
        let authority = try Authority()
        let identity = try authority.issue("localhost")
        try check(
            way,
            [
                "--ssl_mode", "ssl_listen", "--ssl_cert_file", identity.certificate, "--ssl_key_file", identity.key,
                "--ssl_listen_max_proto_version", version,
            ], secure: true)
    }

    /// Towards the real server as well: the first proxy has it to send in TLS, the second to receive.
    @Test func aPasswordThatIsSentInTLSIsGone() throws {
        let server = try Way.imapWords.server()
        let authority = try Authority()
        let identity = try authority.issue("localhost")
        let inner = try Perdition(
            .imap4,
            [
                "--ssl_mode", "ssl_listen", "--ssl_cert_file", identity.certificate, "--ssl_key_file", identity.key,
                "--outgoing_server", "127.0.0.1:\(server.port)", "--server_resp_line", "--ok_line", "Inside",
            ])
        let outer = try Perdition(
            .imap4,
            [
                "--ssl_mode", "ssl_outgoing", "--ssl_no_cert_verify", "--outgoing_server", "127.0.0.1:\(inner.port)",
            ])
        let client = try outer.client()
        #expect(try client.login("joe", Self.password) == "a OK You are so in")
        Nap.milliseconds(200)
        for process in outer.family + inner.family {
            let hits = try ProcessMemory(pid: process.pid).search(for: Self.needles)
            #expect(hits.isEmpty, "\(process.name) (\(process.pid)): \(hits)")
        }
    }

    @Test(.enabled(if: PAMService.isPossible, "needs root: services of PAM are files in /etc/pam.d"))
    func aPasswordThatPAMHasSeenIsGone() throws {
        let service = try PAMService(["auth required pam_unix.so", "account required pam_unix.so"])
        let user = try service.makeUser(password: Self.password)
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"] + service.options)
        let refused = try proxy.client()
        #expect(try refused.login("nobody-of-that-name", Self.password).hasPrefix("a NO"))
        let client = try proxy.client()
        #expect(try client.login(user, Self.password) == "a OK You are so in")
        Nap.milliseconds(200)
        #expect(proxy.family.count >= 3)
        for process in proxy.family {
            let hits = try ProcessMemory(pid: process.pid).search(for: Self.needles)
            #expect(hits.isEmpty, "\(process.name) (\(process.pid)): \(hits)")
        }
    }

    /// The search finds what is there: the same password as a part of an option.
    @Test func theSearchFindsWhatIsThere() throws {
        let proxy = try Perdition(.imap4, ["--ok_line", "Welcome \(Self.password)"])
        _ = try proxy.client()
        #expect(try !ProcessMemory(pid: proxy.worker.pid).search(for: Self.needles).isEmpty)
    }
}
