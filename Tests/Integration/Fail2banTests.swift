import Foundation
import Testing

/// Debian's fail2ban finds in our log who guesses passwords, and nobody else.
@Suite(.staged) struct Fail2banTests {
    @Test(arguments: Flavour.allCases) func findsWrongPasswordsOnly(_ flavour: Flavour) throws {
        let directory = try TemporaryDirectory()
        let server = try FakeServer.mail(flavour)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)", "down:127.0.0.1:\(try FreePort.next())"])
        let proxy = try Perdition(flavour, popmap: popmap, log: directory.file("log"))
        let leave = flavour == .imap4 ? "z LOGOUT" : "QUIT"
        // Each attempt comes from an address of its own, by which fail2ban is to tell them apart.
        let attempts: [(address: String, user: String, password: String, isFound: Bool)] = [
            ("127.0.0.2", "joe", "wrong", true), ("127.0.0.3", "joe", "secret", false),
            ("127.0.0.4", "down", "secret", false), ("127.0.0.5", "nobody", "secret", false),
        ]
        for attempt in attempts {
            let client = try MailClient(proxy.port, from: attempt.address)
            _ = try client.logIn(flavour, attempt.user, attempt.password)
            try client.send(leave + "\r\n")
            _ = try client.rest()
        }
        try eventually("all of it is logged") {
            directory.text("log").components(separatedBy: "Auth: ").count == attempts.count + 1
                && directory.text("log").components(separatedBy: "Closing ").count == attempts.count + 1
        }
        let found = try Fail2banTests.addresses(in: directory.file("log"))
        #expect(found == Set(attempts.filter(\.isFound).map(\.address)), "\(directory.text("log"))")
    }

    @Test func findsThemBehindTLSAndInSyslogLines() throws {
        let stand = try TLSStand(.imap4, ["--ssl_mode", "tls_listen_force"])
        let client = try stand.proxy.client()
        _ = try client.ask("a STARTTLS")
        try client.startTLS()
        // A name that would end the line early if it could.
        _ = try client.login(#""x\" status=\"ok""#, "wrong")
        let auth = try stand.proxy.message { $0.hasPrefix("Auth: ") }
        #expect(auth.contains(#" authentication_id="x\" status=\"ok" server="#))
        // As rsyslog writes what came through /dev/log.
        let directory = try TemporaryDirectory()
        let date = stand.proxy.process.log.prefix(15)
        let file = try directory.write("\(date) mailhost perdition.imap4[123]: \(auth)\n", to: "mail.log")
        #expect(try Fail2banTests.addresses(in: file) == ["127.0.0.1"])
    }

    /// What fail2ban would ban.
    private static func addresses(in log: String) throws -> Set<String> {
        let (status, output) = try ChildProcess.run(
            Programs.debian("fail2ban-regex"),
            ["--no-check-all", "-o", "ip", log, "/etc/fail2ban/filter.d/perdition.conf"])
        guard status == 0 || status == 1 else { throw Failure("fail2ban-regex: \(status): \(output)") }
        return Set(output.split(separator: "\n").map(String.init))
    }
}
