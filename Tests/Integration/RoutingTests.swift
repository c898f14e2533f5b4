import Testing

/// Which server a login goes to, and by which name.
@Suite(.staged) struct RoutingTests {
    /// One login through a proxy in front of one server that lets everybody in.
    private func route(
        _ user: String, popmap lines: (UInt16) -> [String], _ options: [String], flavour: Flavour = .imap4
    ) throws -> (answer: String, arrivedAs: [String]) {
        let server = try FakeServer.mail(flavour, users: nil)
        let proxy = try Perdition(flavour, popmap: Popmap(lines(server.port)), options)
        return try (proxy.client().logIn(flavour, user, "secret"), server.users)
    }

    @Test(arguments: Flavour.allCases) func stripDomainForTheLookupOnly(_ flavour: Flavour) throws {
        let (answer, arrivedAs) = try route(
            "joe@example.org", popmap: { ["joe:127.0.0.1:\($0)"] }, ["--strip_domain", "servername_lookup"],
            flavour: flavour)
        #expect(answer == flavour.success)
        #expect(arrivedAs == ["joe@example.org"])
    }

    @Test func stripDomainForTheServerOnly() throws {
        let (answer, arrivedAs) = try route(
            "joe@example.org", popmap: { ["joe@example.org:127.0.0.1:\($0)"] }, ["--strip_domain", "remote_login"])
        #expect(answer == "a OK You are so in")
        #expect(arrivedAs == ["joe"])
    }

    @Test(arguments: [["--strip_domain", "all"], ["-S", "servername_lookup,remote_login"], ["-Sall"]])
    func stripDomainEverywhere(_ options: [String]) throws {
        let (answer, arrivedAs) = try route("joe@a@b", popmap: { ["joe@a:127.0.0.1:\($0)"] }, options)
        #expect(answer == "a OK You are so in", "the last delimiter counts")
        #expect(arrivedAs == ["joe@a"])
    }

    @Test(arguments: ["%", "--at--"]) func anotherDelimiter(_ delimiter: String) throws {
        let (answer, arrivedAs) = try route(
            "joe\(delimiter)example.org", popmap: { ["joe:127.0.0.1:\($0)"] },
            ["--domain_delimiter", delimiter, "--strip_domain", "all"])
        #expect(answer == "a OK You are so in")
        #expect(arrivedAs == ["joe"])
    }

    @Test(arguments: [("servername_lookup", "JoE"), ("all", "joe"), ("servername_lookup,remote_login", "joe")])
    func lowerCase(_ states: String, _ arrives: String) throws {
        let (answer, arrivedAs) = try route("JoE", popmap: { ["joe:127.0.0.1:\($0)"] }, ["--lower_case", states])
        #expect(answer == "a OK You are so in")
        #expect(arrivedAs == [arrives])
    }

    @Test(arguments: [
        ("\\U", "joe@example.org"), ("\\u", "joe"), ("\\d", "example.org"), ("\\u\\D\\d", "joe@example.org"),
        ("nobody,\\D\\d", "@example.org"), ("\\u.\\d", "joe.example.org"), ("\\i", "127.0.0.1"),
        ("who-\\I-cares,x\\Ix", "x127.0.0.1x"), ("a\\\\b", "a\\b"),
    ])
    func queryKey(_ format: String, _ key: String) throws {
        let (answer, arrivedAs) = try route(
            "joe@example.org", popmap: { ["\(key):127.0.0.1:\($0)"] }, ["--query_key", format])
        #expect(answer == "a OK You are so in")
        #expect(arrivedAs == ["joe@example.org"])
    }

    @Test func queryKeyWithADelimiterOfSeveralCharacters() throws {
        let (answer, _) = try route(
            "joe--example.org", popmap: { ["example.org:127.0.0.1:\($0)"] },
            ["--query_key", "\\d", "--domain_delimiter", "--"])
        #expect(answer == "a OK You are so in")
    }

    @Test func theFirstKeyThatIsFoundCounts() throws {
        let (first, second) = (try FakeServer.mail(.imap4), try FakeServer.mail(.imap4))
        let popmap = try Popmap(["@example.org:127.0.0.1:\(second.port)", "joe:127.0.0.1:\(first.port)"])
        let proxy = try Perdition(.imap4, popmap: popmap, ["--query_key", "\\u,\\D\\d"])
        _ = try proxy.client().login("joe@example.org", "secret")
        #expect(first.connections == 1 && second.connections == 0)
        _ = try proxy.client().login("jane@example.org", "secret")
        #expect(first.connections == 1 && second.connections == 1)
    }

    @Test(arguments: ["-c", "--client_server_specification"]) func theClientNamesTheServer(_ option: String) throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, [option])
        #expect(try proxy.client().login("joe@127.0.0.1:\(server.port)", "secret") == "a OK You are so in")
        #expect(try proxy.client().login("joe@x@127.0.0.1:\(server.port)", "secret") == "a OK You are so in")
        #expect(server.users == ["joe", "joe@x"])
        #expect(try proxy.client().login("joe", "secret") == Flavour.imap4.refusal("Could not determine server"))
    }

    @Test func theClientNamesTheServerWithoutAPort() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, ["-c", "--outgoing_port", "\(server.port)"])
        #expect(try proxy.client().login("joe@127.0.0.1", "secret") == "a OK You are so in")
    }

    @Test(arguments: [(["-U"], "jane"), (["--username_from_database"], "jane"), ([], "joe")])
    func theNameOfTheDatabase(_ options: [String], _ arrives: String) throws {
        let (answer, arrivedAs) = try route("joe", popmap: { ["joe:jane@127.0.0.1:\($0)"] }, options)
        #expect(answer == "a OK You are so in")
        #expect(arrivedAs == [arrives])
    }

    @Test func thePortOfThePopmapOrTheOneOfTheOption() throws {
        let (answer, _) = try route("joe", popmap: { ["joe:127.0.0.1:\($0)"] }, ["--outgoing_port", "1"])
        #expect(answer == "a OK You are so in", "the popmap's port counts")
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, popmap: Popmap(["joe:127.0.0.1"]), ["-p", "\(server.port)"])
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
    }

    @Test func aHostMayBeAName() throws {
        let (answer, _) = try route("joe", popmap: { ["joe:localhost:\($0)"] }, [])
        #expect(answer == "a OK You are so in")
    }

    @Test func withoutLookupAddressesStillWork() throws {
        let (answer, _) = try route("joe", popmap: { ["joe:127.0.0.1:\($0)"] }, ["--no_lookup"])
        #expect(answer == "a OK You are so in")
    }

    @Test func severalOutgoingServersTakeTurns() throws {
        let servers = try (0..<3).map { _ in try FakeServer.mail(.imap4, users: [:]) }
        let list = servers.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
        let client = try Perdition(.imap4, ["--outgoing_server", list]).client()
        for _ in 0..<3 { #expect(try client.login("joe", "secret").hasPrefix("a NO ")) }
        #expect(servers.map(\.connections) == [1, 1, 1])
    }

    @Test(arguments: Flavour.allCases) func ipv6OnBothSides(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour, host: "::1")
        let proxy = try Perdition(flavour, popmap: Popmap(["joe:[::1]:\(server.port)"]), bind: "::1")
        let client = try proxy.client(host: "::1")
        #expect(try client.logIn(flavour) == flavour.success)
        #expect(try client.ask("hello") == "you said hello")
        let path = try client.path()
        _ = try proxy.message { $0.hasPrefix("Auth: \(path) ") && $0.contains("status=\"ok\"") }
    }

    @Test func ipv6InFrontAndIPv4Behind() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"], bind: "::1")
        #expect(try proxy.client(host: "::1").login("joe", "secret") == "a OK You are so in")
    }
}
