import Testing

/// A mail server that relays for whoever has fetched mail can read our log.
@Suite(.staged) struct PopBeforeSMTPTests {
    @Test(arguments: Flavour.allCases) func theTableFollowsTheSessions(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let good = try MailClient(proxy.port, from: "127.0.0.2")
        #expect(try good.logIn(flavour) == flavour.success)
        let bad = try MailClient(proxy.port, from: "127.0.0.3")
        _ = try bad.logIn(flavour, "joe", "wrong")
        let second = try MailClient(proxy.port, from: "127.0.0.4")
        #expect(try second.logIn(flavour) == flavour.success)
        #expect(try second.ask("hello") == "you said hello")
        let path = try second.path()
        #expect(try second.ask("QUIT") == "bye")
        _ = try second.rest()
        _ = try proxy.message { $0.hasPrefix("Closing session: \(path)") }
        _ = try proxy.message { $0.contains("127.0.0.3:") && $0.hasPrefix("Auth: ") }

        var table = RelayTable()
        table.read(proxy.messages)
        #expect(table.misread.isEmpty)
        #expect(table.allowed == ["127.0.0.2"])
        let events = proxy.messages.compactMap(PopBeforeSMTP.init)
        #expect(events.filter { $0.kind == .connect }.count == 3)
        let refused = try #require(events.first { $0.kind == .auth && $0.address == "127.0.0.3" })
        #expect(refused.fields["status"]?.hasPrefix("failed") == true)
        let closed = try #require(events.last { $0.kind == .close })
        #expect(closed.fields["received"] == "13" && closed.fields["sent"] == "21")
        #expect(closed.fields["authentication_id"] == "joe")
        #expect(closed.destination == "127.0.0.1:\(proxy.port)")
    }

    @Test func everyFieldIsThere() throws {
        let stage = try TLSStage()
        let port = try stage.store.securePort(.imap4)
        let proxy = try stage.proxy(.imap4, ["--ssl_mode", "tls_listen,ssl_outgoing"], port: port)
        let client = try proxy.client()
        _ = try client.ask("a STARTTLS")
        try client.startTLS()
        #expect(try client.login("alice", "secret") == "a OK You are so in")
        let event = try #require(PopBeforeSMTP(try proxy.message { $0.hasPrefix("Auth: ") }))
        #expect(try "\(event.source)->\(event.destination)" == client.path())
        #expect(
            event.fields == [
                "client-secure": "starttls", "server-secure": "ssl", "authorisation_id": "NONE",
                "authentication_id": "alice", "server": "127.0.0.1:\(port)", "protocol": "IMAP4", "status": "ok",
            ])
    }

    @Test func aNameCannotForgeAField() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let client = try proxy.client()
        let name = #"x" status="failed" \"#
        try client.send("a LOGIN {\(name.utf8.count)+}\r\n\(name) secret\r\n")
        #expect(try client.line() == "a OK You are so in")
        let event = try #require(PopBeforeSMTP(try proxy.message { $0.hasPrefix("Auth: ") }))
        #expect(event.fields["authentication_id"] == name)
        #expect(event.fields["status"] == "ok")
    }

    @Test func aLongSessionIsToldOfAgain() throws {
        let server = try FakeServer.mail(.pop3)
        let proxy = try Perdition(.pop3, ["--outgoing_server", "127.0.0.1:\(server.port)", "--connect_relog", "1"])
        let client = try proxy.client()
        #expect(try client.logIn(.pop3) == "+OK You are so in")
        var auths: [PopBeforeSMTP] = []
        try eventually("three lines") {
            auths = proxy.messages.compactMap(PopBeforeSMTP.init).filter { $0.kind == .auth }
            return auths.count >= 3
        }
        #expect(auths.allSatisfy { $0 == auths[0] })
        withExtendedLifetime(client) {}
    }

    @Test func addressesOfIPv6AreRead() throws {
        let server = try FakeServer.mail(.pop3)
        let proxy = try Perdition(.pop3, ["--outgoing_server", "127.0.0.1:\(server.port)"], bind: "::1")
        let client = try proxy.client(host: "::1")
        #expect(try client.logIn(.pop3) == "+OK You are so in")
        _ = try proxy.message { $0.hasPrefix("Auth: ") }
        var table = RelayTable()
        table.read(proxy.messages)
        #expect(table.allowed == ["::1"])
        #expect(table.misread.isEmpty)
    }

    @Test(arguments: [
        "Auth: 1.2.3.4:5", "Auth: 1.2.3.4:5->1.2.3.4:6 status=\"ok", "Auth: 1.2.3.4->1.2.3.4:6 status=ok",
        "Auth: 1.2.3.4:5->1.2.3.4:6 status=\"ok\"", "Authors: 1.2.3.4:5->1.2.3.4:6",
    ])
    func whatIsNoneIsNotRead(_ line: String) {
        #expect(PopBeforeSMTP(line) == nil)
    }
}
