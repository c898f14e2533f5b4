import Testing

/// A login goes through, in every form it may have.
@Suite(.staged) struct LoginTests {
    @Test(arguments: Flavour.allCases) func reachesTheServerOfThePopmap(_ flavour: Flavour) throws {
        let servers = try ["A", "B"].map { try FakeServer.mail(flavour, users: nil, label: $0) }
        let popmap = try Popmap(["joe:127.0.0.1:\(servers[0].port)", "jane:127.0.0.1:\(servers[1].port)"])
        let proxy = try Perdition(flavour, popmap: popmap)
        for (user, server) in [("joe", servers[0]), ("jane", servers[1]), ("joe", servers[0])] {
            let client = try proxy.client()
            let before = server.connections
            switch flavour {
            case .imap4: #expect(try client.login(user, "secret") == "a OK You are so in")
            case .pop3: #expect(try client.pass(user, "secret") == "+OK You are so in")
            }
            #expect(try client.ask("hello") == "you said hello")
            #expect(server.connections == before + 1)
        }
        #expect(servers.map(\.users) == [["joe", "joe"], ["jane"]])
    }

    /// How a client may spell name and password in IMAP4.
    struct Spelling: Sendable, CustomTestStringConvertible {
        let sent: String
        var user = "joe"
        var password = "secret"

        var testDescription: String { sent.debugDescription }

        static let all = [
            Spelling(sent: "a LOGIN joe secret\r\n"),
            Spelling(sent: "a login joe secret\r\n"),
            Spelling(sent: "a LOGIN joe secret\n"),
            Spelling(sent: "a LOGIN \"joe\" \"secret\"\r\n"),
            Spelling(sent: "a LOGIN joe \"two words\"\r\n", password: "two words"),
            Spelling(sent: "a LOGIN \"joe b\" secret\r\n", user: "joe b"),
            Spelling(sent: "a LOGIN joe \"back\\\\slash\"\r\n", password: "back\\slash"),
            Spelling(sent: "a LOGIN joe \"a\\\"b\"\r\n", password: "a\"b"),
            Spelling(sent: "a LOGIN joe \"a\\\" b\"\r\n", password: "a\" b"),
            Spelling(sent: "a LOGIN joe \"\"\r\n", password: ""),
            Spelling(sent: "a LOGIN jo\u{e9} s\u{e9}cret\r\n", user: "jo\u{e9}", password: "s\u{e9}cret"),
            Spelling(sent: "a LOGIN {3+}\r\njoe {6+}\r\nsecret\r\n"),
            Spelling(sent: "a LOGIN {3+}\r\njoe secret\r\n"),
            Spelling(sent: "a LOGIN {3+}\r\njoe \"secret\"\r\n"),
            Spelling(sent: "a LOGIN joe {6+}\r\nsecret\r\n"),
            Spelling(sent: "a LOGIN \"joe\" {6+}\r\nsecret\r\n"),
            Spelling(sent: "a LOGIN joe {8+}\r\n\"secret\"\r\n", password: "\"secret\""),
            Spelling(sent: "a LOGIN joe {4+}\r\na\\\\b\r\n", password: "a\\\\b"),
            Spelling(sent: "a LOGIN joe {0+}\r\n\r\n", password: ""),
            Spelling(sent: "a LOGIN joe {7+}\r\ntwo wor\r\n", password: "two wor"),
        ]
    }

    @Test(arguments: Spelling.all) func imapUnderstands(_ spelling: Spelling) throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        try client.send(spelling.sent)
        #expect(try client.line() == "a OK You are so in")
        #expect(server.logins == [FakeServer.Login(user: spelling.user, password: spelling.password)])
    }

    @Test func imapAsksForASynchronisingLiteral() throws {
        let server = try FakeServer.mail(.imap4)
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(try client.ask("a LOGIN {3}").hasPrefix("+ "))
        #expect(try client.ask("joe {6}").hasPrefix("+ "))
        #expect(try client.ask("secret") == "a OK You are so in")
        #expect(server.logins == [FakeServer.Login(user: "joe", password: "secret")])
    }

    @Test func aLiteralMayComeInPieces() throws {
        let server = try FakeServer.mail(.imap4)
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        for byte in "a LOGIN {3+}\r\njoe {6+}\r\nsecret\r\n".utf8 { try client.send([byte]) }
        #expect(try client.line() == "a OK You are so in")
        #expect(server.logins == [FakeServer.Login(user: "joe", password: "secret")])
    }

    @Test(arguments: [
        ("PASS secret", "secret"), ("PASS two words  and blanks", "two words  and blanks"),
        ("PASS \"quotes\"", "\"quotes\""), ("PASS back\\slash", "back\\slash"), ("pass secret", "secret"),
        ("PASS s\u{e9}cret", "s\u{e9}cret"), ("PASS {6}", "{6}"),
    ])
    func popTakesThePasswordAsItIs(_ line: String, _ password: String) throws {
        let server = try FakeServer.mail(.pop3, users: nil)
        let client = try Perdition(.pop3, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(try client.ask("USER jane").hasPrefix("+OK"))
        #expect(try client.ask("USER joe").hasPrefix("+OK"), "the last name counts")
        #expect(try client.ask(line) == "+OK You are so in")
        #expect(server.logins == [FakeServer.Login(user: "joe", password: password)])
    }

    @Test func aLongNameAndPasswordGoThrough() throws {
        let (user, password) = (String(repeating: "u", count: 900), String(repeating: "p", count: 1000))
        let server = try FakeServer.mail(.imap4, users: [user: password])
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(try client.login(user, password) == "a OK You are so in")
    }

    @Test func thePasswordReachesTheServerOnlyOnce() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let client = try proxy.client()
        _ = try client.login("joe", "secret")
        _ = try client.ask("hello")
        #expect(server.connections == 1)
        #expect(!proxy.process.log.contains("secret"), "and no log line has it")
    }
}
