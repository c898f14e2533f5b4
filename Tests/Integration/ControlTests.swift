import Foundation
import Glibc
import Testing

/// perditionctl and the control socket.
@Suite(.staged) struct ControlTests {
    @Test(arguments: Flavour.allCases) func whoShowsEverySession(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let control = try Controlled(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        #expect(try control.rows("who").isEmpty)
        let waiting = try control.proxy.client()
        let client = try control.proxy.client()
        #expect(try client.logIn(flavour) == flavour.success)
        let rows = try control.rows("who")
        #expect(rows.count == 2)
        let mine = try #require(rows.first { $0["state"] as? String == "relaying" })
        #expect(mine["user"] as? String == "joe")
        #expect(mine["protocol"] as? String == flavour.logName)
        #expect(try mine["client"] as? String == String(client.path().prefix { $0 != "-" }))
        #expect(mine["server"] as? String == "127.0.0.1:\(server.port)")
        #expect(try mine["worker"] as? Int == Int(control.proxy.worker.pid))
        #expect(mine["client_tls"] as? String == "none" && mine["server_tls"] as? String == "none")
        let since = try #require((mine["since"] as? String).flatMap { ISO8601DateFormatter().date(from: $0) })
        #expect(abs(since.timeIntervalSinceNow) < 60)
        #expect(rows.contains { $0["state"] as? String == "waiting" && $0["user"] as? String == "" })
        #expect(try client.ask("NOOP") == "you said NOOP")
        #expect(try control.rows("who").contains { ($0["received"] as? Int ?? 0) >= 6 })
        #expect(try control.stat("sessions") == 1)
        #expect(try control.stat("logging_in") == 1)
        withExtendedLifetime(waiting) {}
    }

    @Test func whoKnowsWhatProtects() throws {
        let server = try FakeServer.mail(.imap4)
        let authority = try Authority()
        let leaf = try authority.issue("localhost")
        let control = try Controlled(
            .imap4,
            [
                "--outgoing_server", "127.0.0.1:\(server.port)", "--ssl_mode", "ssl_listen", "--ssl_cert_file",
                leaf.certificate, "--ssl_key_file", leaf.key,
            ])
        let client = try control.proxy.client(secure: true)
        #expect(try client.logIn(.imap4) == Flavour.imap4.success)
        let row = try #require(try control.rows("who").first)
        #expect(row["client_tls"] as? String == "TLSv1.3" && row["server_tls"] as? String == "none")
        withExtendedLifetime(authority) {}
    }

    /// A name that wants to be a row, a cell or a command for the terminal.
    @Test func namesAreShownAsText() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let control = try Controlled(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let client = try control.proxy.client()
        let name = "a\tb\u{1b}[2J\"\\é"
        let bytes = Array(name.utf8)
        #expect(try client.ask("a LOGIN {\(bytes.count)}").hasPrefix("+"))
        try client.send(bytes + Array(" secret\r\n".utf8))
        #expect(try client.line() == Flavour.imap4.success)
        let (status, table) = try control.ctl("who")
        #expect(status == 0)
        #expect(!table.contains("\u{1b}") && !table.contains("\t"))
        #expect(table.split(separator: "\n").count == 2, "\(table)")
        let shown = try #require(try control.rows("who").first?["user"] as? String)
        let (_, output) = try control.ctl("kick", shown)
        #expect(output == "1 session ended\n")
    }

    @Test func whoReachesWorkersFromBeforeReloads() throws {
        let server = try FakeServer.mail(.imap4)
        let control = try Controlled(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        var clients: [MailClient] = []
        for _ in 0..<3 {
            let client = try control.proxy.client()
            #expect(try client.logIn(.imap4) == Flavour.imap4.success)
            clients.append(client)
            let (status, output) = try control.ctl("reload")
            #expect(status == 0, "\(output)")
            #expect(output.hasPrefix("Reloaded"), "\(output)")
        }
        let rows = try control.rows("who")
        #expect(rows.count == 3)
        #expect(Set(rows.compactMap { $0["worker"] as? Int }).count == 3)
        #expect(try control.stat("workers_serving") == 1)
        #expect(try control.stat("workers_leaving") == 3)
        #expect(try control.stat("reloads") == 3)
        #expect(try control.stat("sessions") == 3)
        #expect(try control.stat("logins_ok") == 3)
        clients.removeFirst()
        try eventually("one has left") { try control.rows("who").count == 2 }
        let (_, output) = try control.ctl("kick", "joe")
        #expect(output == "2 sessions ended\n")
        for client in clients { _ = try client.rest() }
        try eventually("nobody is left") { try control.stat("workers_leaving") == 0 }
        // Numbers do not go back with those who have left, nor do states stay.
        #expect(try control.stat("logins_ok") == 3)
        #expect(try control.stat("sessions") == 0)
        #expect(try control.stat("kicked") == 2)
        #expect(control.proxy.messages.contains { $0 == #"Ended 2 sessions of "joe", as perditionctl asked"# })
    }

    @Test func aReloadThatIsRefusedSaysWhy() throws {
        let server = try FakeServer.mail(.imap4)
        let configuration = try Configuration(["map_library \"\"", "outgoing_server 127.0.0.1:\(server.port)"])
        let control = try Controlled(.imap4, configuration: configuration)
        try configuration.replace(with: ["no_such_option 1"])
        let (status, output) = try control.ctl("reload")
        #expect(status == 1)
        #expect(output.contains("no_such_option"), "\(output)")
        #expect(try control.stat("refusals") == 1)
        #expect(try control.proxy.client().logIn(.imap4) == Flavour.imap4.success)
    }

    @Test func countersOutliveACrash() throws {
        let server = try FakeServer.mail(.imap4)
        let control = try Controlled(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        for number in 1...3 {
            let client = try control.proxy.client()
            #expect(try client.logIn(.imap4) == Flavour.imap4.success)
            // The client hears of it first.
            try eventually("the login counts") { try control.stat("logins_ok") == number }
            kill(try control.proxy.worker.pid, SIGKILL)
            _ = try client.rest()
        }
        #expect(try control.proxy.client().logIn(.imap4, "joe", "wrong") != Flavour.imap4.success)
        #expect(try control.stat("logins_ok") == 3)
        #expect(try control.stat("logins_wrong_password") == 1)
        #expect(try control.stat("sessions") == 0)
        #expect(try control.stat("worker_crashes") == 3)
        #expect(try control.stat("worker_starts") == 4)
    }

    @Test func purgeForgets() throws {
        let (old, new) = (try FakeServer.mail(.imap4), try FakeServer.mail(.imap4))
        let popmap = try Popmap(["joe:127.0.0.1:\(old.port)"])
        let control = try Controlled(.imap4, popmap: popmap, ["--map_cache_ttl", "3600"])
        #expect(try control.proxy.client().logIn(.imap4) == Flavour.imap4.success)
        try popmap.replace(with: ["joe:127.0.0.1:\(new.port)"])
        let (_, before) = try control.ctl("lookup", "joe")
        #expect(before.contains("127.0.0.1:\(old.port) (from memory)"), "\(before)")
        #expect(try control.proxy.client().logIn(.imap4) == Flavour.imap4.success)
        #expect(new.connections == 0)
        #expect(try control.stat("fresh") == 1, "the administrator's question is no login's")
        #expect(try control.ctl("purge").output == "1 answer forgotten\n")
        let (_, after) = try control.ctl("lookup", "joe")
        #expect(after.contains("127.0.0.1:\(new.port) (asked)"), "\(after)")
        #expect(try control.proxy.client().logIn(.imap4) == Flavour.imap4.success)
        #expect(new.connections == 1)
    }

    @Test func lookupSaysWhatALoginWouldMeet() throws {
        let popmap = try Popmap(["joe:127.0.0.1:1143", "ann:annabel@nowhere.invalid"])
        let control = try Controlled(
            .imap4, popmap: popmap,
            ["--query_key", #"\U,\u"#, "--strip_domain", "remote_login", "--outgoing_server", "127.0.0.2"])
        let joe = try control.rows("lookup", "joe@example.net").map { $0.compactMapValues { $0 as? String } }
        #expect(
            joe.map { [$0["step"], $0["what"], $0["result"]] } == [
                ["name", "looked up", "joe@example.net"], ["map", "popmap joe@example.net", "not there (asked)"],
                ["map", "popmap joe", "127.0.0.1:1143 (asked)"], ["name", "remote login", "joe"],
                ["server", "127.0.0.1:1143", "127.0.0.1:1143"], ["login", "IMAP4", "TLS: none"],
            ])
        #expect(joe.allSatisfy { $0["listen"] == "all" })
        let (_, ann) = try control.ctl("lookup", "ann")
        #expect(ann.contains("no address: nowhere.invalid"), "\(ann)")
        let (_, bob) = try control.ctl("lookup", "bob")
        #expect(bob.contains("127.0.0.2:143"), "\(bob)")
    }

    /// What `--listen` says is what counts for those who come in there.
    @Test func lookupTellsListenersApart() throws {
        let popmap = try Popmap(["joe:127.0.0.1", "ann:127.0.0.1:1143", "cy:no-such-host.invalid:1143"])
        let (other, third, fourth) = (try FreePort.next(), try FreePort.next(), try FreePort.next())
        let configuration = try Configuration([])
        let listeners = [
            "imap4://127.0.0.1:\(configuration.port)", "imap4://127.0.0.1:\(other)?ssl=tls_outgoing_force",
            "pop3://127.0.0.1:\(third)?outgoing_port=1110", "imap4://127.0.0.1:\(fourth)?outgoing_port=143",
        ]
        try configuration.replace(
            with: ["map_library \(Programs.mapLibrary)", "map_library_opt \(popmap.path)", "map_cache_ttl 60"],
            place: listeners.map { "listen \($0)" })
        let control = try Controlled(configuration: configuration)
        func rows(_ user: String) throws -> [[String]] {
            try control.rows("lookup", user).map { row in
                ["step", "what", "result", "listen"].map { row[$0] as? String ?? "missing" }
            }
        }
        let (first, force) = ("\(listeners[0]) \(listeners[3])", listeners[1])
        #expect(
            try rows("joe") == [
                ["name", "looked up", "joe", "all"], ["map", "popmap joe", "127.0.0.1 (asked)", "all"],
                ["name", "remote login", "joe", "all"], ["server", "127.0.0.1:143", "127.0.0.1:143", first],
                ["login", "IMAP4", "TLS: none", first], ["server", "127.0.0.1:143", "127.0.0.1:143", force],
                ["login", "IMAP4", "TLS: on request, and no login without", force],
                ["server", "127.0.0.1:1110", "127.0.0.1:1110", listeners[2]],
                ["login", "POP3", "TLS: none", listeners[2]],
            ])
        // A port that the map names is the same for all; what is spoken there is not.
        #expect(try rows("ann").map { $0[3] } == ["all", "all", "all", "all", first, force, listeners[2]])
        #expect(try rows("cy")[3] == ["server", "no-such-host.invalid:1143", try rows("cy")[3][2], "all"])
        // Whom none lets in is refused by all of them, and that is said once.
        #expect(try rows("bob").map { $0[3] } == ["all", "all", "all"])

        let stats = try control.stats()
        #expect(stats["protocol"] as? String == "IMAP4,POP3")
        #expect(stats["listen"] as? String == listeners.joined(separator: " "))
        #expect(try MailClient(third).pass("bob", "secret").hasPrefix("-ERR"))
        #expect(try control.stat("logins_failed_pop3") == 1)
        #expect(try control.stat("logins_failed_imap4") == 0 && control.stat("logins_ok_imap4") == 0)
    }

    @Test func lookupAsksForWhereTheClientComesIn() throws {
        let other = try FreePort.next()
        let configuration = try Configuration([])
        let popmap = try Popmap(["joe@\(configuration.port):127.0.0.1:1", "joe@\(other):127.0.0.1:2"])
        let listeners = ["imap4://127.0.0.1:\(configuration.port)", "imap4://*:\(other)"]
        try configuration.replace(
            with: [
                "map_library \(Programs.mapLibrary)", "map_library_opt \(popmap.path)", #"query_key '\i,\u@\P'"#,
                "map_cache_ttl 60",
            ], place: listeners.map { "listen \($0)" })
        let control = try Controlled(configuration: configuration)
        let rows = try control.rows("lookup", "joe").map { row in
            ["what", "result", "listen"].map { row[$0] as? String ?? "missing" }
        }
        #expect(
            rows == [
                ["looked up", "joe", "all"], ["popmap 0.0.0.0", "not there (asked)", "all"],
                ["popmap joe@\(configuration.port)", "127.0.0.1:1 (asked)", listeners[0]],
                ["remote login", "joe", listeners[0]], ["127.0.0.1:1", "127.0.0.1:1", listeners[0]],
                ["IMAP4", "TLS: none", listeners[0]],
                ["popmap joe@\(other)", "127.0.0.1:2 (asked)", listeners[1]],
                ["remote login", "joe", listeners[1]], ["127.0.0.1:2", "127.0.0.1:2", listeners[1]],
                ["IMAP4", "TLS: none", listeners[1]],
            ])
    }

    @Test func drainWaitsForTheLastSession() throws {
        let server = try FakeServer.mail(.imap4)
        let control = try Controlled(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let early = try control.proxy.client()
        #expect(try early.logIn(.imap4) == Flavour.imap4.success)
        #expect(try control.ctl("reload").status == 0)
        let late = try control.proxy.client()
        #expect(try late.logIn(.imap4) == Flavour.imap4.success)
        let (status, output) = try control.ctl("drain")
        #expect(status == 0 && output == "draining: sessions that are waited for: 2, logins: 0\n", "\(output)")
        try eventually("nobody is accepted") { !FreePort.isListening(control.proxy.port) }
        #expect(try late.ask("NOOP") == "you said NOOP")
        #expect(try control.rows("who").count == 2)
        #expect(try control.stats()["draining"] as? String == "yes")
        #expect(try control.ctl("reload").status == 1)
        early.hangUp()
        late.hangUp()
        #expect(try control.proxy.process.exitStatus() == 0)
        #expect(control.proxy.messages.last == "Exiting: the last session has ended")
        #expect(access(control.socket, F_OK) != 0, "nothing is left")
    }

    /// Its provider ends with it, and the log does not speak of starting it again.
    @Test func drainOfAnIdleProxyEndsIt() throws {
        let control = try Controlled(.imap4, popmap: Popmap(["joe:127.0.0.1"]))
        #expect(try control.ctl("drain").status == 0)
        #expect(try control.proxy.process.exitStatus() == 0)
        let messages = control.proxy.messages
        #expect(messages.last == "Exiting: the last session has ended")
        #expect(!messages.contains { $0.contains("exited") || $0.contains("started again") }, "\(messages)")
    }

    /// Who has been quiet hears why, where the protocol lets a server speak unasked.
    @Test func aKickedClientIsTold() throws {
        let server = try FakeServer.mail(.imap4)
        let control = try Controlled(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let client = try control.proxy.client()
        #expect(try client.logIn(.imap4) == Flavour.imap4.success)
        Nap.milliseconds(1500)
        #expect(try control.ctl("kick", "ann").output == "0 sessions ended\n")
        #expect(try control.ctl("kick", "joe").output == "1 session ended\n")
        #expect(try client.restText() == "* BYE Your session was ended by the administrator\r\n")
    }

    // MARK: The socket

    @Test func theSocketIsForItsOwnerAlone() throws {
        let control = try Controlled(.imap4)
        var status = stat()
        #expect(stat(control.socket, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(status.st_uid == geteuid())
    }

    @Test func aSocketThatWasLeftBehindIsTaken() throws {
        let first = try Controlled(.imap4)
        #expect(throws: (any Error).self) { try Perdition(.imap4, ["--control_socket", first.socket]) }
        let workers = first.proxy.workers
        first.proxy.process.signal(SIGKILL)
        try eventually("it is gone") { workers.allSatisfy { !$0.isAlive } }
        #expect(access(first.socket, F_OK) == 0)
        let second = try Perdition(.imap4, ["--control_socket", first.socket])
        #expect(try first.ctl("stats").status == 0)
        withExtendedLifetime(second) {}
    }

    @Test func aFileIsNotTaken() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("precious", to: "control")
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(),
            [
                "--map_library", "", "--log_facility", "-", "--pid_file", "", "--control_socket", path, "--listen_port",
                "\(FreePort.next())", "--config_file", "/dev/null",
            ])
        #expect(status == 255)
        #expect(output.contains("--control_socket \(path): "), "\(output)")
        #expect(directory.text("control") == "precious")
    }

    @Test func withoutASocketItSaysSo() throws {
        let (status, output) = try ChildProcess.run(
            Programs.perditionctl.get(), ["who", "--socket", "/nonexistent/control"])
        #expect(status == 2)
        #expect(output.hasPrefix("perditionctl: /nonexistent/control: No such file or directory"), "\(output)")
        let (wrong, _) = try ChildProcess.run(Programs.perditionctl.get(), ["frobnicate"])
        #expect(wrong == 64)
    }

    /// More than four at a time, some of whom say nothing, or not enough, or too much.
    @Test func whoSaysNothingHoldsUpNobodyForLong() throws {
        let control = try Controlled(.imap4)
        let silent = try (0..<3).map { _ in try UnixConnection(control.socket) }
        try silent[1].send("who")
        try silent[2].send(String(repeating: "x", count: 10_000))
        #expect(try control.ctl("stats").status == 0)
        #expect(try silent[2].restText() == "")
        let crowd = try (0..<12).map { _ in try UnixConnection(control.socket) }
        for one in crowd { try one.send("stats\n") }
        for one in crowd { #expect(try one.restText(within: 60).hasSuffix("\nEND\n")) }
        #expect(try silent[0].restText(within: 60) == "")
    }

    @Test func theWireIsAsTheDocumentHasIt() throws {
        let server = try FakeServer.mail(.imap4)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)", "ann:annabel@127.0.0.1:\(server.port)"])
        let control = try Controlled(.imap4, popmap: popmap, ["--threads", "1"])
        let client = try control.proxy.client()
        #expect(try client.logIn(.imap4) == Flavour.imap4.success)
        let text = try String(contentsOfFile: "\(Programs.source)/docs/CONTROL.md", encoding: .utf8)
        var exchanges: [(request: String, answer: [String])] = []
        for part in text.components(separatedBy: "```transcript\n").dropFirst() {
            for line in part.components(separatedBy: "\n```")[0].split(separator: "\n") {
                if line.hasPrefix("C: ") { exchanges.append((String(line.dropFirst(3)), [])) }
                if line.hasPrefix("S: ") { exchanges[exchanges.count - 1].answer.append(String(line.dropFirst(3))) }
            }
        }
        #expect(exchanges.count >= 6)
        for (request, answer) in exchanges {
            let lines = try control.ask(request).split(separator: "\n").map(String.init)
            #expect(lines.count == answer.count, "\(request): \(lines)")
            for (line, wanted) in zip(lines, answer) {
                let pattern = NSRegularExpression.escapedPattern(for: wanted)
                    .replacing(/<[a-z]+>/, with: "[-0-9TZ:]+")
                #expect(line.range(of: "^\(pattern)$", options: .regularExpression) != nil, "\(line)\n\(wanted)")
            }
        }
    }
}
