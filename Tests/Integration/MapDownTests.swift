import Foundation
import Glibc
import Testing

/// A provider that is away, and users who were there before.
@Suite(.staged) struct MapDownTests {
    @Test(arguments: Flavour.allCases) func knownUsersLogIn(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let socket = popmap.directory.file("socket")
        let provider = try ChildProcess(
            Programs.gdbmProvider.get(), ["-m", popmap.path, "--socket", socket], log: popmap.directory.file("log"))
        try eventually("the provider listens") { access(socket, F_OK) == 0 }
        chmod(socket, 0o777)
        let proxy = try Perdition(
            flavour, ["--map_library", "unix:\(socket)", "--map_timeout", "1"])
        #expect(try proxy.client().logIn(flavour) == flavour.success)
        #expect(try proxy.client().logIn(flavour, "ann").contains("Could not determine server"))
        provider.end()
        unlink(socket)

        for _ in 0..<20 { #expect(try proxy.client().logIn(flavour) == flavour.success) }
        let unknown = flavour.refusal("Temporary lookup failure")
        #expect(try proxy.client().logIn(flavour, "bob") == unknown, "nothing is known of bob")
        #expect(try proxy.client().logIn(flavour, "ann") == unknown, "ann may have been added")
        #expect(try proxy.client().logIn(flavour, "joe", "wrong") == unknown, "joe may have moved")
        #expect(proxy.messages.count { $0.contains("is used instead (--map_stale_ttl)") } == 1)

        proxy.process.signal(SIGHUP)
        try eventually("joe is forgotten", within: 60) { try proxy.client().logIn(flavour) == unknown }
        #expect(proxy.messages.contains { $0.hasSuffix("status=\"failed: Temporary lookup failure\"") })
    }

    @Test func withoutMemoryNobodyLogsIn() throws {
        let server = try FakeServer.mail(.imap4)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let socket = popmap.directory.file("socket")
        let provider = try ChildProcess(
            Programs.gdbmProvider.get(), ["-m", popmap.path, "--socket", socket], log: popmap.directory.file("log"))
        try eventually("the provider listens") { access(socket, F_OK) == 0 }
        chmod(socket, 0o777)
        let proxy = try Perdition(
            .imap4, ["--map_library", "unix:\(socket)", "--map_timeout", "1", "--map_stale_ttl", "0"])
        #expect(try proxy.client().logIn(.imap4) == Flavour.imap4.success)
        provider.end()
        #expect(try proxy.client().logIn(.imap4) == Flavour.imap4.refusal("Temporary lookup failure"))
    }

    /// A map with a time to live is not asked again, until that is over or SIGHUP comes.
    @Test func freshAnswersServeWithoutAsking() throws {
        let (old, new) = (try FakeServer.mail(.imap4), try FakeServer.mail(.imap4))
        let popmap = try Popmap(["joe:127.0.0.1:\(old.port)"])
        let proxy = try Perdition(.imap4, popmap: popmap, ["--map_cache_ttl", "3600"])
        #expect(try proxy.client().logIn(.imap4) == Flavour.imap4.success)
        try popmap.replace(with: ["joe:127.0.0.1:\(new.port)"])
        for _ in 0..<5 { #expect(try proxy.client().logIn(.imap4) == Flavour.imap4.success) }
        #expect((old.connections, new.connections) == (6, 0))
        proxy.process.signal(SIGHUP)
        try eventually("the new server is known") {
            let answer = try proxy.client().logIn(.imap4)
            return answer == Flavour.imap4.success && new.connections > 0
        }
    }

    @Test func aPopmapThatChangesShowsAtOnce() throws {
        let (old, new) = (try FakeServer.mail(.imap4), try FakeServer.mail(.imap4))
        let popmap = try Popmap(["joe:127.0.0.1:\(old.port)"])
        let proxy = try Perdition(.imap4, popmap: popmap)
        #expect(try proxy.client().logIn(.imap4) == Flavour.imap4.success)
        try popmap.replace(with: ["joe:127.0.0.1:\(new.port)"])
        try eventually("the provider has seen the new file") {
            let answer = try proxy.client().logIn(.imap4)
            return answer == Flavour.imap4.success && new.connections > 0
        }
        let before = old.connections
        for _ in 0..<5 { #expect(try proxy.client().logIn(.imap4) == Flavour.imap4.success) }
        #expect(old.connections == before)
    }

    @Test(arguments: Flavour.allCases) func theServersOfAnEntryAreTriedInOrder(_ flavour: Flavour) throws {
        let servers = try (0..<2).map { _ in try FakeServer.mail(flavour) }
        let closed = try FreePort.next()
        let popmap = try Popmap([
            "joe:joe@127.0.0.1:\(closed),127.0.0.1:\(servers[0].port), 127.0.0.1:\(servers[1].port)"
        ])
        let proxy = try Perdition(flavour, popmap: popmap)
        for _ in 0..<3 { #expect(try proxy.client().logIn(flavour) == flavour.success) }
        #expect(servers.map(\.connections) == [3, 0])
        servers[0].stop()
        try eventually("the first is gone") { !FreePort.isListening(servers[0].port) }
        #expect(try proxy.client().logIn(flavour) == flavour.success)
        #expect(servers[1].connections == 1)
    }

    @Test func outgoingServersThatAreDownArePassedOver() throws {
        let server = try FakeServer.mail(.imap4)
        let closed = try FreePort.next()
        let proxy = try Perdition(
            .imap4, ["--outgoing_server", "127.0.0.1:\(closed),127.0.0.1:\(server.port),127.0.0.2:\(closed)"])
        for _ in 0..<6 { #expect(try proxy.client().logIn(.imap4) == Flavour.imap4.success) }
        #expect(server.connections == 6)
    }
}
