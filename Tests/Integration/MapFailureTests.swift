import Foundation
import Glibc
import Testing

/// Providers and databases fail alone: no login fails that could be saved, none hears of a wrong password, and nobody
/// else notices.
@Suite(.staged) struct MapFailureTests {
    /// A proxy that asks a GDBM map in which nobody is, and then the map under test, in which joe is.
    private final class Scene {
        let server: FakeServer
        let maps: [any MapUnderTest]
        let proxy: Perdition

        init(_ kind: MapKind, _ flavour: Flavour = .imap4, _ options: [String] = []) throws {
            server = try FakeServer.mail(flavour, users: nil)
            maps = [try GDBMUnderTest(), try kind.make()]
            try maps[0].fill(["nobody": "127.0.0.1"])
            try maps[1].fill(["joe": "127.0.0.1:\(server.port)"])
            proxy = try Perdition(
                flavour,
                ["--map_library", maps.map(\.library).joined(separator: ",")]
                    + maps.flatMap { ["--map_library_opt", $0.option] } + options)
            try eventually("the providers run") { (try? providers.count) == 2 }
        }

        /// The numbers of the providers' processes, in an order that stays the same whichever is started anew. What a
        /// provider starts itself does not count.
        var providers: [pid_t] {
            get throws {
                let names = Set(maps.map(\.provider))
                let running = proxy.family.filter {
                    $0.parent == proxy.process.pid && $0.state != "Z"
                        && names.contains($0.executable.split(separator: "/").last.map(String.init) ?? "")
                }
                let sockets = try running.map { try Self.socket(of: $0) }
                return zip(running, sockets).sorted { $0.1 < $1.1 }.map(\.0.pid)
            }
        }

        /// The inode of the listening socket it was given, which stays the same for all that serve a map.
        private static func socket(of process: ProcessEntry) throws -> Int {
            let text = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process.pid)/fd/3")
            guard let inode = Int(text.filter(\.isNumber)) else { throw Failure("no socket: \(text)") }
            return inode
        }

        /// Does something to a provider and waits until it has been replaced and logins go on.
        func disturb(_ index: Int, _ number: Int32, under load: Load) throws {
            let before = try providers
            kill(before[index], number)
            // A file's provider is not asked, and not missed, as long as the file stays as it is.
            if maps[index].option.hasPrefix("/") { utimes(maps[index].option, nil) }
            try eventually("a successor of provider \(index + 1)", within: 60) {
                guard let now = try? providers, now.count == 2 else { return false }
                return now[index] != before[index]
            }
            let after = try providers
            for other in after.indices where other != index {
                guard after[other] == before[other] else { throw Failure("another provider was replaced as well") }
            }
            try goOn(load)
        }

        func goOn(_ load: Load) throws {
            let logins = load.begun
            try eventually("more logins", within: 60) { load.begun >= logins + 20 || !load.failures.isEmpty }
        }
    }

    @Test(arguments: MapKind.allCases) func providersAreKilledAndStoppedUnderLoad(_ kind: MapKind) throws {
        let scene = try Scene(kind)
        let worker = try scene.proxy.worker
        let guest = try scene.proxy.client()
        #expect(try guest.logIn(.imap4) == Flavour.imap4.success)
        let load = try Load(scene.proxy.port, atOnce: 4, pause: 20)
        try scene.goOn(load)
        for index in scene.maps.indices {
            for number in [SIGKILL, SIGSTOP] {
                try scene.disturb(index, number, under: load)
                #expect(try guest.ask("hello") == "you said hello", "sessions that run do not notice")
            }
        }
        let logins = try load.stop()
        #expect(load.failures == [], "of \(logins) logins")
        #expect(try scene.proxy.worker.pid == worker.pid)
        #expect(try guest.ask("still there") == "you said still there")
        let killed = scene.proxy.messages.filter { $0.hasSuffix("gives no answer; it is killed") }
        #expect(killed.count == 2, "one replacement for each, whoever reported it: \(killed)")
    }

    @Test func aProviderThatIsKilledEverySecond() throws {
        let scene = try Scene(.gdbm)
        let load = try Load(scene.proxy.port, atOnce: 4, pause: 20)
        var killed: Set<pid_t> = []
        try eventually("twelve providers have been killed", within: 120) {
            if let provider = try? scene.providers.last {
                kill(provider, SIGKILL)
                killed.insert(provider)
            }
            Nap.milliseconds(1000)
            return killed.count >= 12
        }
        let logins = try load.stop()
        #expect(load.failures == [], "of \(logins) logins")
        #expect(logins > 20)
    }

    @Test func aProviderThatDiesAtOnceIsStartedEverMoreRarely() throws {
        let directory = try TemporaryDirectory()
        let program = try directory.write("#!/bin/sh\necho >> '\(directory.file("starts"))'\n", to: "dies")
        chmod(program, 0o755)
        try directory.write("", to: "starts")
        chmod(directory.file("starts"), 0o666)
        let clock = ContinuousClock()
        let begin = clock.now
        let proxy = try Perdition(.imap4, ["--map_library", program])
        for _ in 0..<2 {
            let answer = try proxy.client().logIn(.imap4, within: 60)
            #expect(answer.hasPrefix("a NO [UNAVAILABLE] "), "\(answer)")
        }
        let starts = directory.text("starts").count
        // Pauses of 100, 200, 400 ms and so on follow upon the sixth start.
        let seconds = (clock.now - begin) / .seconds(1)
        #expect(starts >= 6 && Double(starts) <= 7 + log2(seconds * 10 + 1), "\(starts) starts in \(seconds) s")
    }

    /// Asleep, it would look to a proxy with more patience like one that thinks.
    @Test func aSlowProviderIsNotTakenForAStuckOne() throws {
        let directory = try TemporaryDirectory()
        let server = try FakeServer.mail(.imap4, users: nil)
        // One request after the other, each as long as a lookup may take.
        let program = try directory.write(
            """
            #!/usr/bin/env python3
            import socket, sys, threading, time
            listener, turn = socket.socket(fileno=3), threading.Lock()
            pause = float(sys.argv[sys.argv.index("--lookup_timeout") + 1])
            def serve(connection):
                while request := connection.recv(65536):
                    for _ in range(request.count(b",")):
                        with turn: time.sleep(pause)
                        connection.sendall(b"18:OK 127.0.0.1:%05d,")
            listener.setblocking(True)
            while True: threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
            """.replacing("%05d", with: String(repeating: "0", count: 5 - "\(server.port)".count) + "\(server.port)"),
            to: "slow")
        chmod(program, 0o755)
        let proxy = try Perdition(.imap4, ["--map_library", program])
        let load = try Load(proxy.port, atOnce: 6)
        try eventually("some are served, others wait for too long", within: 60) { load.begun > 14 }
        _ = try load.stop()
        #expect(!proxy.messages.contains { $0.contains("it is killed") })
        #expect(server.connections > 0)
        #expect(load.failures.allSatisfy { $0.hasPrefix("a NO [UNAVAILABLE] ") }, "\(load.failures)")
    }

    @Test(arguments: MapKind.withDatabase) func aDatabaseThatIsDownIsATemporaryFailure(_ kind: MapKind) throws {
        // A database server takes its time to be made: one protocol will do there.
        for flavour in kind == .gdbm ? Flavour.allCases : [.pop3] {
            let scene = try Scene(kind, flavour)
            let before = try scene.providers
            let client = try scene.proxy.client()
            try scene.maps[1].stopDatabase()
            for user in ["joe", "whoever"] {
                let answer = try client.logIn(flavour, user, within: 60)
                #expect(answer.hasPrefix(flavour == .imap4 ? "a NO [UNAVAILABLE] " : "-ERR [SYS/TEMP] "), "\(answer)")
            }
            #expect(try client.logIn(flavour, "nobody", within: 60).contains("failed: Could not connect to server"))
            try scene.maps[1].startDatabase()
            #expect(try client.logIn(flavour, within: 60) == flavour.success)
            #expect(try scene.providers == before, "nothing had to be started again")
        }
    }

    @Test(arguments: MapKind.withDatabase) func aDatabaseThatIsDownUnderLoad(_ kind: MapKind) throws {
        let scene = try Scene(kind, .imap4, ["--map_stale_ttl", "0"])
        let load = try Load(scene.proxy.port, atOnce: 4, pause: 20)
        try scene.goOn(load)
        try scene.maps[1].stopDatabase()
        try eventually("a login is refused", within: 60) { !load.failures.isEmpty }
        try scene.maps[1].startDatabase()
        try eventually("a login works", within: 60) {
            try scene.proxy.client().logIn(.imap4, within: 60) == Flavour.imap4.success
        }
        _ = try load.stop()
        #expect(load.failures.allSatisfy { $0.hasPrefix("a NO [UNAVAILABLE] ") }, "\(Set(load.failures))")
    }

    /// The same, with the answers from before: one map leads on by what it did not have, the other is away.
    @Test(arguments: MapKind.withDatabase) func aDatabaseThatIsDownCostsNoKnownUserALogin(_ kind: MapKind) throws {
        let scene = try Scene(kind)
        let load = try Load(scene.proxy.port, atOnce: 4, pause: 20)
        try scene.goOn(load)
        try scene.maps[1].stopDatabase()
        // Behind it may stand how many more there were: each loop meets it.
        _ = try scene.proxy.message(within: 60) { $0.contains(" is used instead (--map_stale_ttl)") }
        for _ in 0..<5 { try scene.goOn(load) }
        #expect(
            try scene.proxy.client().logIn(.imap4, "nemo", within: 60)
                .hasSuffix("Temporary lookup failure"))
        try scene.maps[1].startDatabase()
        try eventually("the map answers", within: 60) {
            try !scene.proxy.client().logIn(.imap4, "nemo", within: 60).hasSuffix("Temporary lookup failure")
        }
        try scene.goOn(load)
        let logins = try load.stop()
        #expect(load.failures == [], "of \(logins) logins")
    }
}
