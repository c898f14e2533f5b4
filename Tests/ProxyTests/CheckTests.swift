import Glibc
import Loop
import Testing

@testable import Proxy

/// `--check` and `--explain`: what they are made of, without files and processes.
@Suite struct CheckTests {
    private static func reading(_ file: String, _ arguments: [String] = []) -> OptionParser.Reading {
        OptionParser(
            list: OptionList.all, directory: "/",
            files: OptionFiles { $0 == "/c.conf" ? .bytes(Array(file.utf8)) : .absent }
        ).check(["perdition", "-f", "/c.conf"] + arguments)
    }

    @Test func everyFaultIsFound() {
        let reading = Self.reading(
            """
            timeout x
            nosuch 1
            listen imap4://*
            listen smtp://*
            debug no
            listen imap4://*?ssl=ssl_listen,tls_listen
            listen_port 143
            pid_file here
            log_facility nowhere
            """, ["--query_key"])
        let faults = (reading.faults ?? []).map(\.description)
        let wanted = [
            "options: --query_key: missing argument", "/c.conf:1: option timeout: ", "/c.conf:2: option nosuch: ",
            "/c.conf:4: option listen: ", "/c.conf:5: option debug: ",
            "/c.conf:7: --listen_port and --listen do not go",
            "/c.conf:6: --listen imap4://*?ssl=ssl_listen,tls_listen: TLS cannot begin both",
            "/c.conf:8: Invalid pid file", "/c.conf:9: log_facility \"nowhere\" not found",
        ]
        #expect(faults.count == wanted.count, "\(faults)")
        for (fault, start) in zip(faults, wanted) { #expect(fault.hasPrefix(start)) }
        // What is right counts all the same.
        #expect(reading.options.listen.count == 2)
    }

    @Test func whatStandsAheadOfAnOpenQuoteIsRead() {
        let reading = Self.reading("timeout 7\nok_line \"never ends\n")
        #expect(reading.options.timeout == 7)
        #expect(reading.faults?.count == 1)
        #expect(reading.faults?.first?.description.hasPrefix("/c.conf:") == true)
    }

    @Test func aFileThatIsNotThereIsOneFault() {
        let reading = OptionParser(list: OptionList.all, directory: "/", files: OptionFiles { _ in .absent })
            .check(["perdition", "-f", "/no.conf", "-l", "0x"])
        #expect(reading.faults?.map(\.description) == ["/no.conf: there is no such configuration file"])
        #expect(reading.options.listenPort == "0x")
    }

    @Test func theCheckIsSeenAsFarAsTheCommandLineMakesSense() {
        #expect(Options.asksForCheck(["perdition", "--check", "--nosuch"]))
        #expect(!Options.asksForCheck(["perdition", "--nosuch", "--check"]))
        #expect(!Options.asksForCheck(["perdition", "--ok_line", "--check"]))
    }

    @Test(
        arguments: [
            (0, 0, "perdition: all is well\n", 0), (0, 1, "warning: w0\nperdition: no errors, 1 warning\n", 1),
            (2, 1, "error: e0\nerror: e1\nwarning: w0\nperdition: 2 errors, 1 warning\n", 255),
        ] as [(Int, Int, String, Int32)])
    func findingsAreSummedUp(errors: Int, warnings: Int, text: String, status: Int32) {
        var findings = Findings()
        for number in 0..<errors { findings.error("e\(number)") }
        for number in 0..<warnings { findings.warning("w\(number)") }
        // What two checks find is said once.
        if errors > 0 { findings.error("e0") }
        #expect(findings.text == text)
        #expect(findings.status == status)
    }

    // MARK: Ports

    @Test func theTableOfSocketsTellsWhoListens() throws {
        let table: [Substring] = [
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "   0: 0100007F:008F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0",
            "   1: 00000000:006E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0",
            "   2: 0100007F:008F 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0",
            "   3: B80D0120000000000000000001000000:03E1 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 14 1 0 1",
        ]
        func sockets(_ host: String, _ port: UInt16) throws -> [String] {
            PortOwner.sockets(in: table, holding: try #require(SocketAddress(host: host, port: port)))
        }
        #expect(try sockets("127.0.0.1", 143) == ["socket:[11]"])
        #expect(try sockets("127.0.0.2", 143) == [], "another address")
        #expect(try sockets("0.0.0.0", 143) == ["socket:[11]"])
        #expect(try sockets("127.0.0.2", 110) == ["socket:[12]"], "it is on all of them")
        #expect(try sockets("2001:db8::1", 993) == ["socket:[14]"])
        #expect(try sockets("2001:db8::2", 993) == [])
    }

    @Test func ourOwnSocketIsFound() throws {
        let sockets = try Listening.open(parseOptions(["-b", "127.0.0.1", "-l", "0"])).descriptors
        defer { sockets.forEach { close($0) } }
        let address = SocketAddress.of(sockets[0], peer: false)
        #expect(PortOwner.all(of: address).contains { $0.pid == getpid() })
        let trials = try Listening.trials(parseOptions(["--listen", "imap4://\(address) pop3://\(address)/"]))
        #expect(trials.map(\.place) == [0, 1])
        #expect(trials[0].fault?.code == Errno(EADDRINUSE))
        #expect(trials[1].fault?.description.contains("belongs to --listen imap4://\(address) already") == true)
    }

    // MARK: Explaining

    @Test func columnsStandOneBelowTheOther() {
        var table = Table()
        table.add("user", "alice", "as given")
        table.add("  looked up", "alice@example.org", "--add_domain")
        table.add("long", String(repeating: "x", count: 60), "far out")
        table.addGap()
        table.add("end", "")
        #expect(
            table.text == """
                user         alice              as given
                  looked up  alice@example.org  --add_domain
                long         \(String(repeating: "x", count: 60))  far out

                end

                """)
    }

    @Test func explainIsAnOrderAndNoSetting() throws {
        let parser = OptionParser(
            list: OptionList.all, directory: "/", files: OptionFiles { _ in .bytes(Array("explain joe\ncheck\n".utf8)) }
        )
        guard case .serve = try parser.parse(["perdition"]) else {
            return #expect(Bool(false), "the file says nothing")
        }
        guard
            case .explain(_, let user, let connects) = try parser.parse(["perdition", "--explain", "joe", "--connect"])
        else { return #expect(Bool(false)) }
        #expect(user == "joe" && connects)
        let error = #expect(throws: OptionError.self) { try parser.parse(["perdition", "--connect"]) }
        #expect(error?.description == "--connect: it goes with --explain: write --explain USER --connect")
    }

    @Test(arguments: [0, 86_400, 1_798_761_599])
    func datesAreThoseOfTheCalendar(seconds: Int) {
        let texts = [0: "1970-01-01 00:00 UTC", 86_400: "1970-01-02 00:00 UTC", 1_798_761_599: "2026-12-31 23:59 UTC"]
        #expect(Calendar.text(seconds) == texts[seconds])
    }
}
