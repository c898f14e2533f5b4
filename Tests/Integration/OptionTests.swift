import Testing

/// Options that can be seen from outside, and where they may stand.
@Suite(.staged) struct OptionTests {
    @Test(arguments: Flavour.allCases) func okLine(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, ["-s", "127.0.0.1:\(server.port)", "--ok_line", "come in, joe"])
        #expect(try proxy.client().logIn(flavour) == (flavour == .imap4 ? "a OK come in, joe" : "+OK come in, joe"))
    }

    @Test(arguments: ["-o", "--server_resp_line", "--server_ok_line"]) func serverRespLine(_ option: String) throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)", option, "--ok_line", "unused"])
        let client = try proxy.client()
        #expect(try client.login("joe", "wrong") == "a NO [AUTHENTICATIONFAILED] fake does not know you")
        #expect(try client.login("joe", "secret") == "a OK [CAPABILITY IMAP4rev1 IDLE] fake knows you")
    }

    @Test func serverRespLineInPOP3() throws {
        let server = try FakeServer.mail(.pop3)
        let client = try Perdition(.pop3, ["-s", "127.0.0.1:\(server.port)", "-o"]).client()
        #expect(try client.pass("joe", "wrong") == "-ERR [AUTH] fake does not know you")
        #expect(try client.pass("joe", "secret") == "+OK fake knows you")
    }

    @Test func imapCapability() throws {
        let client = try Perdition(.imap4, ["--imap_capability", "IMAP4REV1 IDLE LITERAL+"]).client()
        #expect(client.greeting.hasPrefix("* OK [CAPABILITY IMAP4REV1 IDLE LITERAL+] "))
        #expect(try client.command("a CAPABILITY") == ["* CAPABILITY IMAP4REV1 IDLE LITERAL+", "a OK CAPABILITY"])
    }

    @Test(arguments: ["TOP.UIDL.RESP-CODES", "TOP  UIDL  RESP-CODES"]) func popCapability(_ list: String) throws {
        let client = try Perdition(.pop3, ["--pop_capability", list]).client()
        try client.send("CAPA\r\n")
        #expect(try client.lines { $0 == "." }.dropFirst() == ["TOP", "UIDL", "RESP-CODES", "."])
    }

    @Test func connectionLimit() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)", "--connection_limit", "2"])
        let first = try proxy.client()
        let second = try proxy.client()
        #expect(try second.login("joe", "secret") == "a OK You are so in")
        let third = try proxy.client(greeted: false)
        let farewell = try third.restText()
        #expect(farewell.isEmpty || farewell.hasPrefix("* BYE "), "one too many is closed, with or without a word")
        #expect(try first.ask("a NOOP") == "a OK NOOP")
        #expect(try second.ask("hello") == "you said hello")
        first.hangUp()
        try eventually("a place is free") {
            let next = try proxy.client(greeted: false)
            return try next.lineOrEnd()?.hasPrefix("* OK") == true
        }
    }

    @Test(arguments: Flavour.allCases) func theProtocolCanBeToldByOption(_ flavour: Flavour) throws {
        let other = flavour == .imap4 ? Flavour.pop3 : .imap4
        let client = try Perdition(other, ["--protocol", flavour.logName]).client()
        #expect(client.greeting.hasPrefix(flavour == .imap4 ? "* OK" : "+OK"))
    }

    @Test func noBindBannerNamesThisMachine() throws {
        let greeting = try Perdition(.imap4, ["--no_bind_banner"]).client().greeting
        let (_, name) = try ChildProcess.run(Programs.debian("uname"), ["-n"])
        #expect(greeting.contains(" ready on \(name.dropLast()) "))
    }

    @Test func severalAddressesAreServed() throws {
        let server = try FakeServer.mail(.imap4)
        let other = try FreePort.next()
        let bind = "127.0.0.1,127.0.0.2:\(other),[::1]:\(other)"
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)", "--bind_address", bind])
        for (host, port) in [("127.0.0.1", proxy.port), ("127.0.0.2", other), ("::1", other)] {
            try eventually("listening on \(host)") { FreePort.isListening(port) }
            #expect(try MailClient(port, host: host).login("joe", "secret") == "a OK You are so in")
        }
    }

    @Test func theConfigurationFileIsReadAndTheCommandLineWins() throws {
        let server = try FakeServer.mail(.imap4)
        let directory = try TemporaryDirectory()
        let file = try directory.write(
            """
            # a comment
            outgoing_server 127.0.0.1:\(server.port) # and another
            ok_line "from the # file"
            imap_capability IMAP4REV1 \\
            FILE
            server_resp_line
            timeout 60

            """, to: "perdition.conf")
        // The first --config_file is the harness's own.
        let proxy = try Perdition(.imap4, ["--config_file", file, "--imap_capability", "IMAP4REV1 LINE"])
        let client = try proxy.client()
        #expect(client.greeting.contains("[CAPABILITY IMAP4REV1 LINE]"))
        #expect(try client.login("joe", "secret") == "a OK [CAPABILITY IMAP4rev1 IDLE] fake knows you")
    }

    @Test(arguments: [
        ["--no_such_option"], ["--timeout"], ["--timeout", "-1"], ["--timeout", "x"], ["--timeout", "0x10"],
        ["--protocol", "SMTP"], ["--protocol", "5"], ["--strip_domain", "sometimes"], ["--log_passwd", "perhaps"],
        ["--pid_file", "relative.pid"], ["one", "argument"], ["--username", "no-such-user-here"],
        ["--group", "no-such-group-here"], ["--listen_port", "no-such-port-here"], ["--log_facility", "nowhere"],
        ["--ssl_mode", "both"],
    ])
    func whatIsWrongIsSaidAtStart(_ options: [String]) throws {
        let port = try FreePort.next()
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            [
                "-f", "/dev/null", "-b", "127.0.0.1", "-l", "\(port)", "--pid_file", "", "-M", "", "--no_daemon", "-F",
                "-",
            ]
                + options, within: 30)
        #expect(status == 255)
        let named = [options.first.map { String($0.drop { $0 == "-" }) }, options.last].compactMap { $0 }
        #expect(named.contains { output.contains($0) }, "the message names what is wrong: \(output)")
        #expect(output.split(separator: "\n").count < 10, "and is short: \(output)")
    }

    @Test func aPortInUseIsSaidAtStart() throws {
        let server = try FakeServer { try $0.waitForEnd() }
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            [
                "-f", "/dev/null", "-b", "127.0.0.1", "-l", "\(server.port)", "--pid_file", "", "-M", "", "--no_daemon",
                "-F", "-",
            ], within: 30)
        #expect(status == 255)
        #expect(output.contains("\(server.port)") || output.contains("listening"), "\(output)")
    }

    @Test func helpGoesToStandardOutput() throws {
        let (status, output) = try ChildProcess.run(Programs.perdition.get(), ["--help"], within: 30)
        #expect(status == 0)
        for option in ["outgoing_server", "map_library_opt", "query_key", "ssl_dh_params_file", "connect_relog"] {
            #expect(output.contains("--\(option)"))
        }
    }
}
