import Testing

@testable import Proxy

@Suite struct OptionsCommandLineTests {
    @Test(arguments: [
        ["--timeout", "7"], ["--timeout=7"], ["-t7"], ["-t", "7"], ["-t=7"], ["-nt7"], ["-nUt", "7"], ["-nt=7"],
        ["-t", "8", "--timeout", "7"], ["-t", "007"], ["-t7", "--"],
    ])
    func takesValuesInEveryForm(arguments: [String]) throws {
        let options = try parseOptions(arguments)
        #expect(options.timeout == 7)
        #expect(options.noLookup == arguments[0].hasPrefix("-n"))
    }

    @Test func theElementBehindAnOptionIsItsValue() throws {
        let options = try parseOptions(["--imap_capability", "--no_lookup", "-O", "--", "-D", "-n"])
        #expect(options.imapCapability == "--no_lookup")
        #expect(options.okLine == "--")
        #expect(options.domainDelimiter == "-n")
        #expect(!options.noLookup)
    }

    static let refused: [(arguments: [String], message: String)] = [
        (["--bogus"], "options: --bogus: unknown option"),
        (["--bogus=3"], "options: --bogus: unknown option"),
        (["--time", "3"], "options: --time: unknown option"),
        (["--no-daemon"], "options: --no-daemon: unknown option"),
        (["-n5"], "options: -n5: unknown option"),
        (["-nz"], "options: -nz: unknown option"),
        (["--timeout"], "options: --timeout: missing argument"),
        (["-nt"], "options: -t: missing argument"),
        (["foo"], "options: trailing argument: foo"),
        (["--", "-n"], "options: trailing argument: -n"),
        (["-"], "options: trailing argument: -"),
        (["-t"], "options: -t: missing argument"),
        (["--debug=5"], "options: --debug=5: option does not take an argument"),
        (["-d=5"], "options: -d=5: option does not take an argument"),
        (["-t", "x"], "Parameter to t|timeout must be a positive integer"),
        (["-t", "-1"], "Parameter to t|timeout must be a positive integer"),
        (["-t", "+5"], "Parameter to t|timeout must be a positive integer"),
        (["-t", "0x10"], "Parameter to t|timeout must be a positive integer"),
        (["-t", "١"], "Parameter to t|timeout must be a positive integer"),
        (["--authenticate_timeout", "x"], "Parameter to authenticate_timeout must be a positive integer"),
        (["-L", "99999999999999999999"], "Parameter to L|connection_limit must be a number from 0 to 2147483647"),
        (["-P", "SMTP"], "Unknown protocol: \"SMTP\""),
        (["-P", "5"], "Unknown protocol: \"5\""),
        (["--log_passwd", "x"], "Invalid log_passwd mode: \"x\""),
        (["-S", "x"], "unknown state for strip_domain: x"),
        (["-S", ""], "unknown state for strip_domain: "),
        (["--lower_case", ",all"], "unknown state for lower_case: "),
        (["-A", "all,x"], "unknown state for add_domain: x"),
        (["--ssl_mode", "x"], "unknown ssl_mode: x"),
        (["--ssl_mode", ""], "unknown ssl_mode: "),
        (["--ssl_mode", "ssl_listen", "--ssl_mode", "tls_listen"], "invalid ssl_mode combination"),
        (["--ssl_mode", "ssl_outgoing,tls_outgoing_force"], "invalid ssl_mode combination"),
        (["--pid_file", "x.pid"], "Invalid pid file: \"x.pid\""),
        (["--ssl_listen_min_proto_version", ""], "Unknown ssl_listen_min_proto_version"),
        (["--ssl_outgoing_max_proto_version", "x"], "Unknown ssl_outgoing_max_proto_version"),
        (
            ["--ssl_listen_max_proto_version", "tlsv1.1"],
            "ssl_listen_max_proto_version tlsv1.1 is older than ssl_listen_min_proto_version tlsv1.2"
        ),
        (
            ["--ssl_passphrase_fd", "3", "--ssl_passphrase_file", "/x"],
            "Only one of ssl_passphrase_fd and ssl_passphrase_file may be specified"
        ),
        (["-O", "a\r\nb"], "Parameter to O|ok_line must not hold control characters"),
        (["-b", ":143"], "Parameter to b|bind_address is not a server: \":143\""),
        (["--resolver_threads", ""], "Parameter to resolver_threads must be a number from 1 to 256"),
    ]

    @Test(arguments: refused)
    func refuses(arguments: [String], message: String) {
        #expect(throws: OptionError(message)) { try parseOptions(arguments) }
    }

    @Test func refusesAnUnknownFacility() {
        #expect { try parseOptions(["-F", "bogus"]) } throws: { "\($0)".contains("\"bogus\" not found") }
        #expect { try parseOptions([], file: "\nF bogus\n") } throws: { "\($0)".hasPrefix("/c.conf:2: ") }
    }

    @Test(arguments: ProtocolName.allCases)
    func everyProtocolWorks(name: ProtocolName) throws {
        let options = try parseOptions([], program: "perdition.\(name.fileName)")
        #expect(options.protocolName == name)
    }

    // MARK: Values

    @Test func statesAndModesAccumulate() throws {
        let options = try parseOptions([
            "-S", "server_lookup", "-S", "LOCAL_AUTH", "-A", "remote_login", "-A", "all,3,2", "--lower_case", "all",
            "--ssl_mode", "ssl_listen", "--ssl_mode", "tls_outgoing_force,none",
        ])
        #expect(options.stripDomain == [.serverLookup, .localAuthentication])
        #expect(options.addDomain == .all)
        #expect(options.addDomainDepth == 2)
        #expect(options.lowerCase == .all)
        #expect(options.sslMode.isSuperset(of: [.sslListen, .tlsOutgoingForce]))
        #expect(options.sslMode.optionText == "ssl_listen,tls_outgoing_force")
    }

    @Test func theEmptyNumberIsZero() throws {
        #expect(try parseOptions(["--timeout=", "-L", ""]).timeout == 0)
    }

    @Test func oneOptionForAllCapabilities() throws {
        let options = try parseOptions(["-I", "A", "--pop_capability", "B"])
        #expect(options.imapCapability == "A")
        #expect(options.popCapability == "B")
        #expect(options.managesieveCapability == "A")
    }

    @Test(arguments: [["-o"], ["--server_resp_line"], ["--server_ok_line"]])
    func threeNamesForOneFlag(arguments: [String]) throws {
        #expect(try parseOptions(arguments).serverRespLine)
    }

    @Test func deprecatedNamesLeaveANote() throws {
        let parser = OptionParser(
            list: OptionList.all, directory: "/",
            files: OptionFiles { _ in .bytes(Array("\ncapability X\n".utf8)) })
        guard case .serve(_, let notes) = try parser.parse(["perdition", "-f", "/c.conf", "--server_ok_line"]) else {
            Issue.record("it prints")
            return
        }
        #expect(
            notes == [
                "/c.conf:2: --capability is deprecated: use imap_capability, pop_capability or managesieve_capability",
                "--server_ok_line is deprecated: use server_resp_line",
            ])
    }

    @Test func listsHaveNoEmptyElements() throws {
        let options = try parseOptions(["--query_key", #"\u,,\D\d"#, "-s", "a,,b:imap, [::1]:99 ,::2,"])
        #expect(options.queryKey == [#"\u"#, #"\D\d"#])
        #expect(options.outgoingServer.map(\.description) == ["a", "b:imap", "[::1]:99", "::2"])
    }

    @Test(arguments: [
        ("perdition", ProtocolName.pop3), ("/usr/sbin/perdition.imap4", .imap4), ("perdition.imaps", .imap4s),
        ("perdition.pop3s", .pop3s), ("perdition.managesieve", .managesieve), ("mail", .pop3), ("imap4", .imap4),
        ("", .pop3),
    ])
    func theProgramsNameChoosesTheProtocol(program: String, expected: ProtocolName) throws {
        #expect(try parseOptions([], program: program).protocolName == expected)
        #expect(try parseOptions(["-P", "managesieve"], program: program).protocolName == .managesieve)
    }

    @Test func encryptedProtocolsBringTheirMode() throws {
        #expect(try parseOptions(["-P", "imap4s"]).sslMode == .sslAll)
        #expect(try parseOptions(["-P", "pop3s", "--ssl_mode", "ssl_listen"]).sslMode == .sslListen)
        #expect(try parseOptions(["-P", "pop3s", "--ssl_mode", "none"]).sslMode == .off)
        #expect(try parseOptions(["-P", "imap4"]).sslMode == [])
    }

    @Test func derivedValues() throws {
        var options = try parseOptions([], program: "/x/perdition.imap4")
        #expect(options.programName == "perdition.imap4")
        #expect(options.pidFilePath == "/var/run/perdition.imap4/perdition.imap4.pid")
        #expect(options.outgoingPortText == "imap")
        options.noLookup = true
        #expect(options.outgoingPortText == "143")
        options.outgoingPort = "99"
        #expect(options.outgoingPortText == "99")
        #expect(!options.staysInForeground)
        options.logFacility = "+"
        #expect(options.staysInForeground)
        options.inetdMode = true
        #expect(options.pidFilePath == nil)
    }

    @Test func helpAndSampleArePrinted() throws {
        for (argument, start) in [("-h", "perdition, a POP3"), ("--print_sample_configuration", "# perdition.conf")] {
            guard case .print(let text) = try Options.parse(arguments: ["perdition", argument], directory: "/") else {
                Issue.record("\(argument) does not print")
                continue
            }
            #expect(text.hasPrefix(start))
        }
    }
}
