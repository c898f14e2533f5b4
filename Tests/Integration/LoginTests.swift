import Testing

/// A login goes through.
@Suite(.staged) struct LoginTests {
    @Test(arguments: Flavour.allCases) func reachesTheServerOfThePopmap(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let proxy = try Perdition(flavour, popmap: popmap)
        let client = try proxy.client()
        switch flavour {
        case .imap4: #expect(try client.login("joe", "secret") == "a OK You are so in")
        case .pop3: #expect(try client.pass("joe", "secret") == "+OK You are so in")
        }
        #expect(try client.ask("hello") == "you said hello")
        #expect(server.users == ["joe"])
    }
}
