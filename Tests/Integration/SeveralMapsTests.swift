import Foundation
import Glibc
import Testing

/// One proxy asks several maps, several proxies ask one.
@Suite(.staged) struct SeveralMapsTests {
    private func proxy(_ maps: [Popmap], _ options: [String] = []) throws -> Perdition {
        try Perdition(
            .imap4,
            ["-M", maps.map { _ in Programs.mapLibrary }.joined(separator: ",")] + maps.flatMap { ["-m", $0.path] }
                + options)
    }

    private func provider(_ popmap: Popmap) throws -> (socket: String, process: ChildProcess) {
        let socket = popmap.directory.file("map.socket")
        let process = try ChildProcess(
            Programs.gdbmProvider.get(), ["--socket", socket, "--socket_mode", "0666", "-m", popmap.path, "-F", "-"],
            log: popmap.directory.file("log"))
        try eventually("the provider listens") { access(socket, F_OK) == 0 || process.hasEnded }
        return (socket, process)
    }

    @Test func theFirstThatFindsWins() throws {
        let servers = try ["A", "B", "C"].map { try FakeServer.mail(.imap4, users: nil, label: $0) }
        func place(_ index: Int) -> String { "127.0.0.1:\(servers[index].port)" }
        let maps = [
            try Popmap(["joe:\(place(0))"]), try Popmap(["joe:\(place(1))", "ann:\(place(1))"]),
            try Popmap(["joe:\(place(2))", "ann:\(place(2))", "eve:\(place(2))"]),
        ]
        let running = try provider(maps[1])
        let proxy = try Perdition(
            .imap4,
            [
                "-M", "\(Programs.mapLibrary), unix:\(running.socket),\(Programs.gdbmProvider.get())", "-m",
                maps[0].path,
                "-m", maps[2].path,
            ])
        for (number, user) in ["joe", "ann", "eve"].enumerated() {
            let client = try proxy.client()
            #expect(try client.logIn(.imap4, user) == Flavour.imap4.success)
            #expect(servers[number].connections == 1, "\(user)")
        }
        #expect(try proxy.client().logIn(.imap4, "nobody") == Flavour.imap4.refusal("Could not determine server"))
        #expect(proxy.family.count { $0.executable.hasSuffix("/perdition-map-gdbm") } == 2)
        #expect(!running.process.hasEnded)
    }

    @Test func aMapThatCannotTellStopsTheSearch() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let (first, second) = (
            try Popmap(["ann:127.0.0.1:\(server.port)"]), try Popmap(["joe:127.0.0.1:\(server.port)"])
        )
        let proxy = try proxy([first, second], ["--map_stale_ttl", "0"])
        #expect(try proxy.client().logIn(.imap4, "joe") == Flavour.imap4.success)
        rename(first.path, "\(first.path).away")
        let answer = try proxy.client().logIn(.imap4, "joe")
        #expect(answer.hasPrefix("a NO [UNAVAILABLE] "), "\(answer)")
        _ = try proxy.message { $0.contains("Popmap: \(Programs.mapLibrary): ") }
        rename("\(first.path).away", first.path)
        #expect(try proxy.client().logIn(.imap4, "joe") == Flavour.imap4.success)
        // Who is found before it comes to a map does not need that.
        unlink(second.path)
        #expect(try proxy.client().logIn(.imap4, "ann") == Flavour.imap4.success)
    }

    @Test func aParticularKeyInAnyMapBeatsAGeneralOne() throws {
        let servers = try ["A", "B"].map { try FakeServer.mail(.imap4, users: nil, label: $0) }
        let general = try Popmap(["@example.com:127.0.0.1:\(servers[0].port)"])
        let particular = try Popmap(["joe@example.com:127.0.0.1:\(servers[1].port)"])
        let proxy = try proxy([general, particular], ["--query_key", #"\U,\D\d"#])
        for (user, count) in [("ann@example.com", [1, 0]), ("joe@example.com", [1, 1])] {
            #expect(try proxy.client().logIn(.imap4, user) == Flavour.imap4.success)
            #expect(servers.map(\.connections) == count, "\(user)")
        }
    }

    @Test func theConfigurationFileHasAListToo() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let maps = [try Popmap(["ann:127.0.0.1"]), try Popmap(["joe:127.0.0.1:\(server.port)"])]
        let directory = try TemporaryDirectory()
        let file = try directory.write(
            "map_library gdbm, gdbm\nmap_library_opt \(maps[0].path)\nmap_library_opt \(maps[1].path)\n", to: "conf")
        // The helper says --map_library '' on the command line, which would win.
        let port = try FreePort.next()
        let process = try ChildProcess(
            Programs.perdition.get(), name: "perdition.imap4",
            [
                "-f", file, "-b", "127.0.0.1", "-l", "\(port)", "--pid_file", "", "-F", "-", "--map_provider_dir",
                Programs.binaries,
            ], log: directory.file("log"))
        try process.waitUntilListening(on: port)
        #expect(try MailClient(port).logIn(.imap4) == Flavour.imap4.success)
    }

    @Test func twoProxiesShareAProvider() throws {
        let servers = try Flavour.allCases.map { try FakeServer.mail($0, users: nil) }
        let popmap = try Popmap(
            zip(Flavour.allCases, servers).map { "\($0.rawValue):127.0.0.1:\($1.port)" })
        let provider = try provider(popmap)
        let proxies = try Flavour.allCases.map {
            try Perdition($0, ["-M", "unix:\(provider.socket)", "--map_timeout", "2", "--map_stale_ttl", "0"])
        }
        func logIn(_ proxy: Perdition) throws -> String {
            try proxy.client().logIn(proxy.flavour, proxy.flavour.rawValue, within: 60)
        }
        for proxy in proxies { #expect(try logIn(proxy) == proxy.flavour.success) }

        // It is not theirs to end: they say so, and wait for better times.
        provider.process.signal(SIGSTOP)
        // A thread that runs goes on until it hears of it.
        let tasks = "/proc/\(provider.process.pid)/task"
        try eventually("every thread of it is stopped") {
            try FileManager.default.contentsOfDirectory(atPath: tasks).allSatisfy {
                try String(contentsOfFile: "\(tasks)/\($0)/stat", encoding: .utf8).contains(") T ")
            }
        }
        for proxy in proxies {
            let answer = try logIn(proxy)
            #expect(answer.hasPrefix(proxy.flavour == .imap4 ? "a NO [UNAVAILABLE] " : "-ERR [SYS/TEMP] "), "\(answer)")
            _ = try proxy.message { $0.hasPrefix("Popmap: unix:\(provider.socket) has not answered for ") }
        }
        provider.process.signal(SIGCONT)
        for proxy in proxies {
            try eventually("logins work again", within: 60) { try logIn(proxy) == proxy.flavour.success }
        }
        #expect(!provider.process.hasEnded)
        proxies[0].process.end()
        #expect(try logIn(proxies[1]) == proxies[1].flavour.success)
    }
}
