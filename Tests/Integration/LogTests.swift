import Foundation
import Glibc
import Testing

/// Log lines that programs read, byte for byte.
@Suite(.staged) struct LogTests {
    /// What perdition prints ahead of each message when it does not log to syslog.
    private static let head = #"^\w{3} [ \d]\d \d\d:\d\d:\d\d (perdition\.(?:imap4|pop3))\[(\d+)\]: "#

    @Test(arguments: Flavour.allCases) func aSessionFromConnectToClosing(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, popmap: Popmap(["joe:127.0.0.1:\(server.port)"]))
        let client = try proxy.client()
        let path = try client.path()
        #expect(try client.logIn(flavour) == flavour.success)
        #expect(try client.ask("hello") == "you said hello")
        #expect(try client.ask("QUIT") == "bye")
        #expect(try client.rest().isEmpty)
        client.hangUp()
        _ = try proxy.message { $0.hasPrefix("Closing session: \(path) ") }
        let about = proxy.messages.filter { $0.contains(path) }
        #expect(
            about == [
                "Connect:  \(path)",
                "Auth: \(path) client-secure=plaintext authorisation_id=NONE authentication_id=\"joe\" "
                    + "server=\"127.0.0.1:\(server.port)\" protocol=\(flavour.logName) server-secure=plaintext status=\"ok\"",
                "Closing session: \(path) authorisation_id=NONE authentication_id=\"joe\" received=13 sent=21",
            ])
        for line in proxy.process.logLines where line.contains(path) {
            let match = try #require(line.range(of: Self.head, options: .regularExpression), "\(line)")
            #expect(line[match].contains(flavour.programName))
        }
    }

    @Test(arguments: [
        ("Re-Authentication Failure", "wrong", true), ("Could not connect to server", "secret", false),
    ])
    func aRefusedLogin(_ reason: String, _ password: String, _ isUp: Bool) throws {
        let server = try FakeServer.mail(.imap4)
        let port = isUp ? server.port : try FreePort.next()
        let proxy = try Perdition(.imap4, popmap: Popmap(["joe:127.0.0.1:\(port)"]))
        let client = try proxy.client()
        let path = try client.path()
        #expect(try client.login("joe", password) == Flavour.imap4.refusal(reason))
        let line = try proxy.message { $0.hasPrefix("Auth: \(path)") }
        #expect(
            line == "Auth: \(path) client-secure=plaintext authorisation_id=NONE authentication_id=\"joe\" "
                + "server=\"127.0.0.1:\(port)\" protocol=IMAP4 server-secure=plaintext status=\"failed: \(reason)\"")
    }

    @Test(arguments: Flavour.allCases) func anUnknownUserHasNoServer(_ flavour: Flavour) throws {
        let proxy = try Perdition(flavour, popmap: Popmap())
        let client = try proxy.client()
        let path = try client.path()
        _ = try client.logIn(flavour)
        let line = try proxy.message { $0.hasPrefix("Auth: \(path)") }
        #expect(
            line == "Auth: \(path) client-secure=plaintext authorisation_id=NONE authentication_id=\"joe\" "
                + "server=\"(null):\(flavour == .imap4 ? "imap" : "pop3")\" protocol=\(flavour.logName) "
                + "server-secure=plaintext status=\"failed: Could not determine server\"")
    }

    @Test func theNameIsTheOneTheClientGave() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let proxy = try Perdition(.imap4, popmap: popmap, ["--strip_domain", "all", "--lower_case", "all"])
        #expect(try proxy.client().login("JOE@example.org", "secret") == "a OK You are so in")
        _ = try proxy.message { $0.hasPrefix("Auth: ") && $0.contains("authentication_id=\"JOE@example.org\"") }
        #expect(server.users == ["joe"])
    }

    @Test(arguments: [(Flavour.imap4, "a LOGOUT"), (.pop3, "QUIT")])
    func leavingWithoutALogin(_ flavour: Flavour, _ command: String) throws {
        let proxy = try Perdition(flavour)
        let client = try proxy.client()
        let path = try client.path()
        try client.send(command + "\r\n")
        _ = try client.rest()
        let line = try proxy.message { $0.hasPrefix("Closing NULL session: ") }
        #expect(line == "Closing NULL session: \(path) authorisation_id=NONE authentication_id=\"(null)\"")
    }

    @Test(arguments: Flavour.allCases) func aClientThatJustGoes(_ flavour: Flavour) throws {
        let proxy = try Perdition(flavour)
        let client = try proxy.client()
        let path = try client.path()
        client.hangUp()
        let line = try proxy.message { $0.hasPrefix("Fatal Error reading") }
        #expect(line == "Fatal Error reading authentication information from client \(path): Exiting child")
    }

    @Test func ipv6HasNoBrackets() throws {
        let proxy = try Perdition(.imap4, bind: "::1")
        let client = try proxy.client(host: "::1")
        let path = try client.path()
        #expect(path.hasPrefix("::1:"))
        _ = try proxy.message { $0 == "Connect:  \(path)" }
    }

    @Test func aNameCannotForgeALine() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"])
        let forged = "joe\" status=\"ok\"\r\nJan  1 00:00:00 perdition.imap4[1]: Auth: forged"
        let client = try proxy.client()
        try client.send("a LOGIN {\(forged.utf8.count)+}\r\n\(forged) secret\r\n")
        _ = try client.line()
        client.hangUp()
        _ = try proxy.message { $0.hasPrefix("Auth: ") || $0.hasPrefix("Fatal") || $0.hasPrefix("Closing") }
        #expect(!proxy.process.logLines.contains { $0.hasPrefix("Jan  1 00:00:00") })
        #expect(!proxy.messages.contains { $0.contains("authentication_id=\"joe\" status=\"ok\"") })
    }

    @Test func quietLogsOnlyErrors() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)", "--quiet"])
        let client = try proxy.client()
        _ = try client.login("joe", "secret")
        client.hangUp()
        try eventually("the session is over") { server.openConnections == 0 }
        let other = try proxy.client()
        other.hangUp()
        _ = try proxy.message { $0.hasPrefix("Fatal Error reading") }
        #expect(
            !proxy.messages.contains { $0.hasPrefix("Auth:") || $0.hasPrefix("Connect:") || $0.hasPrefix("Closing") })
    }

    @Test func aLogFileIsWrittenAndReopened() throws {
        let server = try FakeServer.mail(.imap4)
        let directory = try TemporaryDirectory()
        chmod(directory.path, 0o777)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"], log: directory.file("log"))
        _ = try proxy.client().login("joe", "secret")
        try eventually("the login is in the file") { directory.text("log").contains("Auth: ") }
        rename(directory.file("log"), directory.file("old"))
        proxy.process.signal(SIGHUP)
        try eventually("a new file is begun") {
            _ = try proxy.client().login("joe", "secret")
            return directory.text("log").contains("Auth: ")
        }
    }

    @Test(.enabled(if: SyslogSocket.isPossible, "needs root and no syslog daemon: /dev/log must be free"))
    func syslogGetsTheLines() throws {
        let socket = try SyslogSocket()
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"], log: "local3")
        let client = try proxy.client()
        let path = try client.path()
        _ = try client.login("joe", "secret")
        // local3 is 19, notice 5: 19 * 8 + 5.
        let message = try socket.message { $0.contains("Auth: \(path)") }
        #expect(message.contains(#/^<157>\w{3} [ \d]\d \d\d:\d\d:\d\d perdition\.imap4\[\d+\]: Auth: /#))
        client.hangUp()
        // info is 6.
        let closing = try socket.message { $0.contains("Closing session: \(path)") }
        #expect(closing.hasPrefix("<158>"))
    }
}
