import Testing

/// Logins that fail: the client hears why, may try again, and nobody else notices.
@Suite(.staged) struct FailureTests {
    @Test(arguments: Flavour.allCases) func aWrongPasswordThenTheRightOne(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, popmap: Popmap(["joe:127.0.0.1:\(server.port)"]))
        let client = try proxy.client()
        #expect(try client.logIn(flavour, "joe", "wrong") == flavour.refusal("Re-Authentication Failure"))
        #expect(server.received.contains { $0.hasSuffix("LOGOUT") || $0 == "QUIT" }, "the server is left politely")
        #expect(try client.logIn(flavour, "joe", "secret") == flavour.success)
        #expect(try client.ask("hello") == "you said hello")
        #expect(server.connections == 2)
    }

    @Test func popForgetsTheNameAfterARefusal() throws {
        let server = try FakeServer.mail(.pop3)
        let client = try Perdition(.pop3, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(try client.pass("joe", "wrong") == Flavour.pop3.refusal("Re-Authentication Failure"))
        #expect(try client.ask("PASS secret").hasPrefix("-ERR"))
        #expect(try client.pass("joe", "secret") == Flavour.pop3.success)
    }

    /// The pause after a refusal belongs to one session: forty at once take about as long as one.
    @Test func refusalsWaitSideBySide() throws {
        let server = try FakeServer.mail(.imap4, users: ["joe": "secret"])
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        func pause(of count: Int) throws -> Duration {
            let clients = try (0..<count).map { _ in try proxy.client() }
            return try ContinuousClock().measure {
                for client in clients { try client.send("a LOGIN joe wrong\r\n") }
                let guest = try proxy.client()
                #expect(try guest.login("joe", "secret") == "a OK You are so in")
                for client in clients { #expect(try client.line(within: 60).hasPrefix("a NO ")) }
            }
        }
        let one = try pause(of: 1)
        let forty = try pause(of: 40)
        #expect(forty < one * 10, "one took \(one), forty took \(forty)")
    }

    @Test(arguments: Flavour.allCases) func anUnknownUserIsRefused(_ flavour: Flavour) throws {
        let client = try Perdition(flavour, popmap: Popmap(["jane:127.0.0.1"])).client()
        #expect(
            try client.logIn(flavour, "joe", "secret") == flavour.refusal("Could not determine server"))
    }

    @Test(arguments: Flavour.allCases) func anUnknownUserGoesToTheOutgoingServer(_ flavour: Flavour) throws {
        let (known, other) = (try FakeServer.mail(flavour), try FakeServer.mail(flavour))
        let popmap = try Popmap(["jane:127.0.0.1:\(known.port)"])
        let client = try Perdition(flavour, popmap: popmap, ["--outgoing_server", "127.0.0.1:\(other.port)"]).client()
        #expect(try client.logIn(flavour, "joe", "secret") == flavour.success)
        #expect(known.connections == 0 && other.connections == 1)
    }

    @Test(arguments: Flavour.allCases) func aServerThatIsDown(_ flavour: Flavour) throws {
        let proxy = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(FreePort.next())"])
        let client = try proxy.client()
        let refusal = flavour.refusal("Could not connect to server")
        #expect(try client.logIn(flavour, "joe", "secret") == refusal)
        #expect(try client.logIn(flavour, "joe", "secret") == refusal, "and again")
    }

    @Test func aServerWhoseNameNobodyKnows() throws {
        let client = try Perdition(.imap4, ["--outgoing_server", "no-such-host.invalid"]).client()
        #expect(
            try client.logIn(.imap4, "joe", "secret", within: 60)
                == Flavour.imap4.refusal("Could not connect to server"))
    }

    @Test(arguments: Flavour.allCases) func aServerThatTakesItsTime(_ flavour: Flavour) throws {
        let server = try FakeServer { session in
            session.isSlow = true
            switch flavour {
            case .imap4: try session.serveIMAP4(nil, label: "slow", nil)
            case .pop3: try session.servePOP3(nil, label: "slow", nil)
            }
        }
        let client = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(try client.logIn(flavour, "joe", "secret", within: 60) == flavour.success)
    }

    @Test(arguments: Flavour.allCases) func aServerThatSaysNothing(_ flavour: Flavour) throws {
        let server = try FakeServer { try $0.waitForEnd() }
        let options = ["--outgoing_server", "127.0.0.1:\(server.port)", "--authenticate_timeout", "1"]
        try expectRefusal(flavour, options)
        try eventually("the proxy has left the server") { server.openConnections == 0 }
    }

    @Test(arguments: Fault.all) func aServerThatMisbehaves(_ fault: Fault) throws {
        let server = try FakeServer(fault.talk)
        try expectRefusal(fault.flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        #expect(server.connections > 0)
    }

    @Test(arguments: [(Flavour.imap4, "* BYE no"), (.imap4, "* PREAUTH you are in"), (.pop3, "-ERR no")])
    func aServerThatDeclines(_ flavour: Flavour, _ greeting: String) throws {
        let server = try FakeServer {
            try $0.say(greeting)
            _ = try $0.lineOrEnd()
        }
        let client = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(
            try client.logIn(flavour, "joe", "secret")
                == flavour.refusal("Connection Negotiation Failure"))
    }

    @Test(arguments: [
        (Flavour.imap4, "flim NO [UNAVAILABLE] later"), (.pop3, "-ERR [SYS/TEMP] later"),
        (.pop3, "-ERR [IN-USE] later"),
    ])
    func aServerThatCannotTellNowIsNotAWrongPassword(_ flavour: Flavour, _ refusal: String) throws {
        let server = try FakeServer { session in
            switch flavour {
            case .imap4:
                try session.say("* OK ready")
                while let (tag, words) = try session.imapCommand() {
                    if words.first == "LOGIN" { try session.say(refusal.replacing("flim", with: tag)) }
                    if words.first == "CAPABILITY" { try session.say("* CAPABILITY IMAP4rev1\r\n\(tag) OK") }
                }
            case .pop3:
                try session.say("+OK ready")
                try session.refuseCAPA()
                while let line = try session.lineOrEnd() { try session.say(line.hasPrefix("PASS") ? refusal : "+OK") }
            }
        }
        let client = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(try client.logIn(flavour) == flavour.refusal("Real server unavailable"))
    }

    @Test func aRefusedNameIsNotFollowedByThePassword() throws {
        let server = try FakeServer { session in
            try session.say("* OK ready")
            while let line = try session.lineOrEnd() {
                let tag = line.prefix { $0 != " " }
                if line.contains("CAPABILITY") { try session.say("* CAPABILITY IMAP4rev1\r\n\(tag) OK") }
                if line.contains("LOGIN") { try session.say("\(tag) NO not by literal") }
            }
        }
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        // Quotes in them make literals of both.
        try client.send("a LOGIN {4+}\r\njo\"e {7+}\r\nse\"cret\r\n")
        #expect(try client.line().hasPrefix("a NO"))
        #expect(server.received.contains { $0.hasSuffix("LOGIN {4}") })
        #expect(!server.received.contains { $0.contains("cret") })
    }

    /// A client must be told, and not that its password is wrong; the proxy goes on.
    private func expectRefusal(_ flavour: Flavour, _ options: [String]) throws {
        let good = try FakeServer.mail(flavour, users: ["good": "good"])
        let proxy = try Perdition(flavour, popmap: Popmap(["good:127.0.0.1:\(good.port)"]), options)
        let client = try proxy.client()
        let answer = try client.logIn(flavour, "joe", "secret", within: 40)
        #expect(answer.hasPrefix(flavour == .imap4 ? "a NO " : "-ERR "))
        #expect(answer.contains("failed: "))
        #expect(!answer.contains("Re-Authentication"))
        #expect(
            try client.logIn(flavour, "good", "good") == flavour.success, "the same connection may try another user")
    }
}
