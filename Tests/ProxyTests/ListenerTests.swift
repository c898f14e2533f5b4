import Glibc
import Loop
import Testing

@testable import Proxy

/// `--listen`: what its values mean, and what they make of the other options.
@Suite struct ListenerTests {
    struct Case: Sendable {
        let text: String
        let protocolName: ProtocolName
        var host: String?
        var port: String?
        var sslMode: SSLMode?
        var outgoingPort: String?
    }

    @Test(arguments: [
        Case(text: "imap4://*", protocolName: .imap4),
        Case(text: "IMAP4://*:143", protocolName: .imap4, port: "143"),
        Case(text: "imap://*/", protocolName: .imap4),
        Case(text: "imaps://mail.example.org", protocolName: .imap4s, host: "mail.example.org"),
        Case(text: "pop3s://192.0.2.1:995/", protocolName: .pop3s, host: "192.0.2.1", port: "995"),
        Case(text: "sieve://[2001:db8::1]:4190", protocolName: .managesieve, host: "2001:db8::1", port: "4190"),
        Case(text: "managesieve://[::1]", protocolName: .managesieve, host: "::1"),
        Case(text: "pop3://[fe80::1%eth0]:pop3", protocolName: .pop3, host: "fe80::1%eth0", port: "pop3"),
        Case(text: "imap4://0.0.0.0:65535", protocolName: .imap4, host: "0.0.0.0", port: "65535"),
        Case(text: "imap4://*?ssl=none", protocolName: .imap4, sslMode: .off),
        Case(text: "imap4://*?ssl=TLS_listen_force", protocolName: .imap4, sslMode: .tlsListenForce),
        Case(
            text: "imap4s://*:imaps?ssl=ssl_listen,tls_outgoing&outgoing_port=143", protocolName: .imap4s,
            port: "imaps", sslMode: [.sslListen, .tlsOutgoing], outgoingPort: "143"),
        Case(text: "imap4://*?outgoing_port=imap2", protocolName: .imap4, outgoingPort: "imap2"),
    ])
    func isRead(_ wanted: Case) throws {
        let listener = try Proxy.Listener(wanted.text)
        #expect(listener.protocolName == wanted.protocolName)
        #expect(listener.host == wanted.host)
        #expect(listener.port == wanted.port)
        #expect(listener.sslMode == wanted.sslMode)
        #expect(listener.outgoingPort == wanted.outgoingPort)
        #expect(listener.description == wanted.text)
    }

    @Test(arguments: [
        ("", "it does not begin with PROTOCOL://: write it as in imap4://192.0.2.1:143?ssl=tls_listen"),
        ("imap4", "it does not begin with PROTOCOL://: write it as in imap4://192.0.2.1:143?ssl=tls_listen"),
        ("imap4:143", "it does not begin with PROTOCOL://: write it as in imap4://192.0.2.1:143?ssl=tls_listen"),
        (
            "imap4://ä",
            "it holds blanks, control characters or letters beyond ASCII: "
                + "write it as in imap4://192.0.2.1:143?ssl=tls_listen"
        ),
        ("smtp://*", "there is no protocol \"smtp\": write one of pop3, imap4, pop3s, imap4s, managesieve"),
        ("://*", "there is no protocol \"\": write one of pop3, imap4, pop3s, imap4s, managesieve"),
        ("imap4://", "the address is missing: write * for every address of this machine"),
        ("imap4:///", "the address is missing: write * for every address of this machine"),
        ("imap4://?ssl=none", "the address is missing: write * for every address of this machine"),
        ("imap4://::1:143", "the address holds several colons: write IPv6 addresses in brackets, as in [::1]:143"),
        (
            "imap4://[::1",
            "\"[::1\" is no address: write an IPv4 address, an IPv6 address in brackets, the name of a host "
                + "or *, and :PORT behind it"
        ),
        (
            "imap4://*:",
            "\"*:\" is no address: write an IPv4 address, an IPv6 address in brackets, the name of a host "
                + "or *, and :PORT behind it"
        ),
        (
            "imap4://me@host",
            "\"me@host\" is no address: write an IPv4 address, an IPv6 address in brackets, the name of a "
                + "host or *, and :PORT behind it"
        ),
        ("imap4://*:0", "the port \"0\" is none: write a number from 1 to 65535, or a name of services(5)"),
        ("imap4://*:65536", "the port \"65536\" is none: write a number from 1 to 65535, or a name of services(5)"),
        ("imap4://*:im#p", "the port \"im#p\" is none: write a number from 1 to 65535, or a name of services(5)"),
        (
            "imap4://*?outgoing_port=",
            "outgoing_port= \"\" is none: write a number from 1 to 65535, or a name of services(5)"
        ),
        ("imap4://*?tls=on", "there is no setting \"tls\": write ssl=MODE or outgoing_port=PORT, with & between"),
        ("imap4://*?", "there is no setting \"\": write ssl=MODE or outgoing_port=PORT, with & between"),
        ("imap4://*?ssl=none&ssl=none", "ssl= is there twice: say it once"),
        (
            "imap4://*?ssl=tls",
            "ssl= has no mode \"tls\": write ssl_all, ssl_listen, ssl_outgoing, tls_all_force, "
                + "tls_listen_force, tls_outgoing_force, tls_all, tls_listen, tls_outgoing, none"
        ),
    ])
    func saysWhatIsWrong(text: String, why: String) {
        let fault = #expect(throws: Proxy.Listener.Fault.self) { try Proxy.Listener(text) }
        #expect(fault.map { "\($0.wrong): \($0.instead)" } == why)
    }

    // MARK: Options

    @Test func listenersAddUp() throws {
        #expect(
            try parseOptions(["--listen", "imap4://*", "--listen", "pop3://*"]).listen.map(\.description) == [
                "imap4://*", "pop3://*",
            ])
        let file = "listen imap4://*\nlisten 'imap4s://* pop3://*'\n"
        #expect(try parseOptions([], file: file).listen.map(\.protocolName) == [.imap4, .imap4s, .pop3])
        let options = try parseOptions(["--listen", "sieve://*"], file: file)
        #expect(options.listen.map(\.protocolName) == [.managesieve], "the command line wins")
        let all = try parseOptions([], file: file)
        let declaration = try #require(OptionList.all.first { $0.name == "listen" })
        #expect(try parseOptions(["--listen", declaration.kind.show(all)]).listen == all.listen)
    }

    @Test(
        arguments: [
            (
                ["--listen", "imap4"], nil,
                "--listen imap4: it does not begin with PROTOCOL://: write it as in imap4://192.0.2.1:143?ssl=tls_listen"
            ),
            (
                [], "\nlisten smtp://*",
                "/c.conf:2: option listen: \"smtp://*\": there is no protocol \"smtp\": "
                    + "write one of pop3, imap4, pop3s, imap4s, managesieve"
            ),
            (
                ["--listen", "imap4://*", "-l", "143"], nil,
                "--listen_port and --listen do not go together: write address and port into --listen alone"
            ),
            (
                ["--listen", "imap4://*"], "bind_address 127.0.0.1",
                "/c.conf:1: --bind_address and --listen do not go together: write address and port into --listen alone"
            ),
            (
                ["-i"], "listen imap4://*",
                "/c.conf:1: --listen and --inetd_mode do not go together: inetd listens by itself, so leave --listen out and say "
                    + "--protocol"
            ),
            (
                ["--listen", "imap4://*", "--listen", "imap4://*"], nil,
                "--listen imap4://*: is there twice: leave one of them out"
            ),
            (
                ["--listen", "imap4://*?ssl=ssl_listen,tls_listen"], nil,
                "--listen imap4://*?ssl=ssl_listen,tls_listen: TLS cannot begin both with the first byte and on request: write "
                    + "one ssl_ or tls_ mode for each side"
            ),
        ] as [([String], String?, String)])
    func whatDoesNotGoTogetherIsRefused(arguments: [String], file: String?, why: String) {
        let error = #expect(throws: OptionError.self) { try parseOptions(arguments, file: file) }
        #expect(error?.description == why)
    }

    @Test(arguments: [
        ("imap4://*", "", "", "imap"), ("imap4s://*", "", "ssl_all", "imaps"),
        ("imap4s://*", "tls_all", "ssl_listen,tls_outgoing", "imaps"),
        ("imap4s://*", "tls_listen_force", "ssl_all", "imaps"),
        ("imap4s://*", "none", "ssl_listen", "imaps"),
        ("imap4s://*?ssl=none", "", "", "imaps"), ("imap4s://*?ssl=none", "tls_all", "", "imaps"),
        ("imap4s://*?ssl=ssl_listen", "", "ssl_all", "imaps"),
        ("imap4s://*?ssl=ssl_listen,none&outgoing_port=143", "", "ssl_listen", "143"),
        ("pop3s://*?ssl=tls_outgoing", "ssl_outgoing", "ssl_listen,tls_outgoing", "pop3s"),
        ("pop3://*", "tls_all_force", "tls_all_force", "pop3"),
        ("pop3://*?ssl=tls_listen", "tls_all_force", "tls_outgoing_force,tls_listen", "pop3"),
        ("managesieve://*?ssl=tls_listen", "ssl_outgoing", "ssl_outgoing,tls_listen", "sieve"),
    ])
    func eachSideIsSettledByItself(listen: String, mode: String, wanted: String, port: String) throws {
        let options = try parseOptions(["--listen", listen] + (mode.isEmpty ? [] : ["--ssl_mode", mode]))
        let own = try #require(options.perListener.first)
        #expect(own.sslMode.optionText == wanted)
        #expect(own.outgoingPortText == port)
        #expect(own.protocolName == options.listen[0].protocolName)
    }

    @Test func withoutListenersAllIsAsItWas() throws {
        let options = try parseOptions(["-P", "imap4s"])
        #expect(options.perListener == [options])
        #expect(options.sslMode == .sslAll)
        #expect(options.protocolNames == "IMAP4S")
        let several = try parseOptions(["--listen", "imap4://* imap4://[::1] pop3s://*"])
        #expect(several.protocolNames == "IMAP4,POP3S")
        #expect(several.sslMode == [], "it is each listener's")
        #expect(several.everySSLMode == .sslAll)
    }

    // MARK: Sockets

    @Test func everySocketKnowsItsListener() throws {
        let probe = try Listening.open(parseOptions(["-b", "127.0.0.1,127.0.0.2,127.0.0.3", "-l", "0"])).descriptors
        let ports = probe.map { SocketAddress.of($0, peer: false).port }
        probe.forEach { close($0) }
        func listen(_ number: Int, _ name: String) -> [String] {
            ["--listen", "\(name)://127.0.0.\(number + 1):\(ports[number])"]
        }
        let first = try Listening.open(parseOptions(listen(0, "imap4") + listen(1, "pop3")))
        defer { first.descriptors.forEach { close($0) } }
        #expect(first.places == [0, 1])
        // One that comes, one that goes, one that changes its place.
        let second = try Listening.open(
            parseOptions(listen(2, "imap4") + listen(1, "pop3s")), keeping: first.descriptors)
        defer { close(second.descriptors[0]) }
        #expect(second.places == [0, 1])
        #expect(second.descriptors[1] == first.descriptors[1])
        #expect(!first.descriptors.contains(second.descriptors[0]))
    }

    @Test func oneAddressHasOneListener() throws {
        let probe = try Listening.open(parseOptions(["-b", "127.0.0.1", "-l", "0"])).descriptors
        let port = SocketAddress.of(probe[0], peer: false).port
        probe.forEach { close($0) }
        let options = try parseOptions(["--listen", "imap4://127.0.0.1:\(port) pop3://127.0.0.1:\(port)/"])
        let failure = #expect(throws: Listening.Failure.self) { try Listening.open(options) }
        #expect(
            failure?.description == "--listen pop3://127.0.0.1:\(port)/: 127.0.0.1:\(port) belongs to --listen "
                + "imap4://127.0.0.1:\(port) already: give each an address and port of its own")
        let unknown = try parseOptions(["--listen", "imap4://127.0.0.1:nosuchport"])
        #expect(
            throws: Listening.Failure(
                description: "--listen imap4://127.0.0.1:nosuchport: Servname not supported for ai_socktype")
        ) {
            try Listening.open(unknown)
        }
    }
}
