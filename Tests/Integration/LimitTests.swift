import Foundation
import Glibc
import Testing

/// What one client may have of the whole, and what happens when all of it is taken.
@Suite(.staged) struct LimitTests {
    private static func farewell(_ flavour: Flavour, _ text: String) -> String {
        flavour == .imap4 ? "* BYE \(text)\r\n" : "-ERR [SYS/TEMP] \(text)\r\n"
    }

    // MARK: Addresses

    @Test(arguments: Flavour.allCases) func oneAddressDoesNotKeepOthersOut(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(
            flavour,
            [
                "--outgoing_server", "127.0.0.1:\(server.port)", "--trusted_networks", "127.0.0.1",
                "--logins_per_address", "5",
            ])
        let idle = try (0..<5).map { _ in try MailClient(proxy.port, from: "127.0.0.9") }
        for _ in 0..<3 {
            let late = try MailClient(proxy.port, from: "127.0.0.9", greeted: false)
            #expect(try late.restText() == Self.farewell(flavour, "Too many connections from your address, mate"))
        }
        #expect(try MailClient(proxy.port, from: "127.0.0.10").logIn(flavour) == flavour.success)
        let trusted = try (0..<20).map { _ in try MailClient(proxy.port, from: "127.0.0.1") }
        // Whoever logs in makes room.
        #expect(try idle[0].logIn(flavour) == flavour.success)
        let next = try MailClient(proxy.port, from: "127.0.0.9")
        idle[1].hangUp()
        try eventually("a place is free") {
            try MailClient(proxy.port, from: "127.0.0.9", greeted: false).lineOrEnd()?.contains("ready on") == true
        }
        let said = proxy.messages.filter { $0.contains("(--logins_per_address)") }
        #expect(
            said == [
                "Client 127.0.0.9 has 5 connections that have not logged in (--logins_per_address): one more was turned "
                    + "away"
            ])
        withExtendedLifetime((trusted, next)) {}
    }

    @Test func connectionsOfAnAddressAreCountedAlsoAfterTheLogin() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(
            .imap4,
            [
                "--outgoing_server", "127.0.0.1:\(server.port)", "--trusted_networks", "", "--connections_per_address",
                "3",
            ])
        let sessions = try (0..<3).map { _ in
            let client = try MailClient(proxy.port, from: "127.0.0.9")
            #expect(try client.logIn(.imap4) == Flavour.imap4.success)
            return client
        }
        let late = try MailClient(proxy.port, from: "127.0.0.9", greeted: false)
        #expect(try late.restText() == "* BYE Too many connections from your address, mate\r\n")
        sessions[0].hangUp()
        try eventually("a place is free") {
            try MailClient(proxy.port, from: "127.0.0.9", greeted: false).lineOrEnd()?.hasPrefix("* OK") == true
        }
    }

    /// Clear text would only confuse whoever waits for a handshake.
    @Test func whoeverSpeaksTLSFirstIsClosedWithoutAWord() throws {
        let authority = try Authority()
        let options = ["--trusted_networks", "", "--logins_per_address", "1", "--ssl_mode", "ssl_listen"]
        let proxy = try Perdition(.imap4, options + authority.issue("proxy.test").options)
        let first = try MailClient(proxy.port, from: "127.0.0.9", greeted: false)
        // Whichever loop took the first one, the second comes later.
        try eventually("the first is in") { proxy.messages.contains { $0.hasPrefix("Connect:") } }
        let late = try MailClient(proxy.port, from: "127.0.0.9", greeted: false)
        #expect(try late.restText() == "")
        withExtendedLifetime(first) {}
    }

    // MARK: Users and failures

    @Test func sessionsOfAUserAreCounted() throws {
        let server = try FakeServer.mail(.pop3)
        let proxy = try Perdition(
            .pop3,
            ["--outgoing_server", "127.0.0.1:\(server.port)", "--trusted_networks", "", "--sessions_per_user", "2"])
        let sessions = try (0..<2).map { _ in
            let client = try proxy.client()
            #expect(try client.logIn(.pop3) == Flavour.pop3.success)
            return client
        }
        let late = try proxy.client()
        #expect(try late.logIn(.pop3) == "-ERR [SYS/TEMP] failed: Too many sessions")
        // Lines leave at the end of the loop's turn, behind the answer.
        try eventually("the log says so") {
            proxy.messages.contains { $0.hasSuffix("status=\"failed: Too many sessions\"") }
        }
        sessions[0].hangUp()
        try eventually("a place is free") { try late.logIn(.pop3) == Flavour.pop3.success }
    }

    /// Who has failed five times waits longer than a newcomer who began later.
    @Test func guessingGetsSlower() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(
            .imap4, ["--outgoing_server", "127.0.0.1:\(server.port)", "--trusted_networks", ""])
        let guessers = try (0..<5).map { _ in try MailClient(proxy.port, from: "127.0.0.9") }
        for guesser in guessers { try guesser.send("a LOGIN joe wrong\r\n") }
        let refusal = Flavour.imap4.refusal("Re-Authentication Failure")
        for guesser in guessers { #expect(try guesser.line() == refusal) }
        let newcomer = try MailClient(proxy.port, from: "127.0.0.10")
        try guessers[0].send("a LOGIN joe wrong\r\n")
        try eventually("the guess is on its way") { server.logins.count == 6 }
        try newcomer.send("a LOGIN joe wrong\r\n")
        #expect(try newcomer.line() == refusal)
        #expect(!guessers[0].hasNews(within: 0), "it asked earlier and hears later")
        #expect(try guessers[0].line(within: 40) == refusal)
        #expect(try guessers[0].logIn(.imap4) == Flavour.imap4.success, "a right password is not made to wait")
    }

    // MARK: Descriptors

    /// A table that grows while loops run makes all of them wait.
    @Test func theTableOfDescriptorsDoesNotHaveToGrow() throws {
        let proxy = try Perdition(.imap4, [])
        let said = try proxy.message { $0.hasPrefix("Open files: ") }
        let limit = try #require(Int(said.dropFirst("Open files: ".count).prefix { $0 != "," }))
        let table = try proxy.worker.status("FDSize").first.flatMap { Int($0) }
        #expect(try #require(table) >= min(limit, 65_536))
    }

    /// A proxy that may have 256 descriptors and no more, whatever rights it has.
    private static func poorProxy(_ options: [String], in directory: TemporaryDirectory) throws -> Perdition {
        let script = try directory.write(
            """
            #!/bin/sh
            ulimit -n 256
            exec setpriv --bounding-set -sys_resource \(try Programs.perdition.get()) --protocol IMAP4 "$@"
            """, to: "poor")
        chmod(script, 0o755)
        return try Perdition(.imap4, options + ["--threads", "1"], program: script)
    }

    @Test func withoutDescriptorsThoseWhoDoNothingGo() throws {
        let directory = try TemporaryDirectory()
        let crowd = try Crowd()
        let proxy = try Self.poorProxy(["--outgoing_server", "127.0.0.1:\(crowd.port)"], in: directory)
        let said = try proxy.message { $0.hasPrefix("Open files: 256, enough for ") }
        let room = try #require(Int(said.split(separator: " ")[5]))
        #expect((80...120).contains(room))
        try crowd.grow(by: 20, through: proxy.port)
        let idle = try (0..<300).map { _ in try proxy.client() }
        let worker = try proxy.worker
        #expect(worker.descriptors > room && worker.descriptors <= 256)
        // The oldest had to go, and heard why; the youngest are there.
        for client in idle.prefix(100) {
            #expect(try client.restText() == "* BYE Too many connections, mate\r\n")
        }
        #expect(try idle[299].ask("a NOOP") == "a OK NOOP")
        // Who has a password gets in, until all are logged in.
        try crowd.grow(by: room - 20, through: proxy.port)
        let late = try proxy.client(greeted: false)
        #expect(try late.restText() == "* BYE Too many connections, mate\r\n")
        #expect(crowd.broken() == 0, "nobody who was logged in was affected")
        let lines = proxy.messages.filter { $0.contains("file descriptors") }
        #expect(lines.count == 1, "once a minute: \(lines)")
        #expect(
            lines.first
                == "All 256 file descriptors are in use or spoken for, by \(room) sessions: clients that do not log in are "
                + "sent away. Raise the limit on open files (LimitNOFILE= in the systemd unit, ulimit -Hn)")
        #expect(try proxy.worker.pid == worker.pid)
        crowd.leave()
        try eventually("room again") {
            try proxy.client(greeted: false).lineOrEnd()?.hasPrefix("* OK") == true
        }
    }
}
