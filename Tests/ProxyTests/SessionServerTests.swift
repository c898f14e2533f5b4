import CLinux
import Glibc
import Loop
import Testing

@testable import Proxy

/// Sessions that have several servers or addresses to try.
@Suite(.timeLimit(.minutes(2))) struct SessionServerTests {
    private static func options(_ set: (inout Options) -> Void = { _ in }) -> Options {
        var options = Options()
        options.protocolName = .imap4
        options.noLookup = true
        set(&options)
        return options
    }

    /// Lets joe in with his password.
    private static func store(_ loop: isolated Loop) throws -> FakeStore {
        try FakeStore(on: loop) { _, stream in
            try await stream.send("* OK [CAPABILITY IMAP4rev1] ready\r\n")
            while true {
                let line = try await stream.text()
                let tag = line.prefix { $0 != " " }
                let isJoe = line.hasSuffix("\"joe\" \"secret\"")
                try await stream.send("\(tag) \(isJoe ? "OK in" : "NO [AUTHENTICATIONFAILED] who?")\r\n")
            }
        }
    }

    /// A port that nobody listens at.
    private static func closedPort() throws -> UInt16 { try Listener().address.port }

    @Test func goesOnToTheNextServerOfAnEntry() async throws {
        try await onLoop { loop in
            let store = try Self.store(loop)
            let closed = try Self.closedPort()
            let map = try FakeMap(
                on: loop, ["joe": "OK x@127.0.0.1:\(closed),host.invalid , 127.0.0.1:\(store.address.port),127.0.0.2:1"]
            )
            let guest = try Guest(on: loop, Self.options(), map: map.path)
            _ = try await guest.stream.text()
            #expect(try await guest.ask("a LOGIN joe secret") == "a OK You are so in")
            let auth = await guest.logLine(loop, beginning: "notice: Auth:")
            #expect(auth?.contains("server=\"127.0.0.1:\(store.address.port)\"") == true, "who served in the end")
            #expect(
                guest.book.lines.contains {
                    $0.hasPrefix("info: Real server 127.0.0.1:\(closed): Connection refused")
                })
            #expect(guest.book.lines.contains { $0.hasPrefix("error: Real server host.invalid: ") })
            guest.stream.close()
        }
    }

    @Test func aServerThatDoesNotAnswerTakesAsLongAsItMay() async throws {
        try await onLoop { loop in
            let (silent, held) = try await Self.silentServer(loop)
            defer { for channel in held { channel.close() } }
            let store = try Self.store(loop)
            let guest = try Guest(
                on: loop,
                Self.options {
                    $0.connectTimeout = 1
                    $0.outgoingServer = [silent.address, store.address].map {
                        ServerAddress(host: $0.host, port: String($0.port))
                    }
                })
            _ = try await guest.stream.text()
            #expect(try await guest.ask("a LOGIN joe secret") == "a OK You are so in")
            #expect(
                guest.book.lines.contains {
                    $0.hasPrefix("info: Real server \(silent.address): no answer within 1 s (client ")
                })
            guest.stream.close()
        }
    }

    @Test func whereNoServerAnswersTheLastIsNamed() async throws {
        try await onLoop { loop in
            let ports = [try Self.closedPort(), try Self.closedPort()]
            let map = try FakeMap(on: loop, ["joe": "OK 127.0.0.1:\(ports[0]),127.0.0.1:\(ports[1])"])
            let guest = try Guest(on: loop, Self.options(), map: map.path)
            _ = try await guest.stream.text()
            #expect(
                try await guest.ask("a LOGIN joe secret") == "a NO [UNAVAILABLE] failed: Could not connect to server")
            #expect(
                await guest.logLine(loop, beginning: "notice: Auth:")?.contains("server=\"127.0.0.1:\(ports[1])\"")
                    == true)
            guest.stream.close()
        }
    }

    @Test func aServerThatFallsSilentIsGivenUp() async throws {
        try await onLoop { loop in
            let store = try FakeStore(on: loop) { loop, _ in await loop.thread.sleep(60_000) }
            let guest = try Guest(
                on: loop,
                Self.options {
                    $0.serverTimeout = 1
                    $0.outgoingServer = [ServerAddress(host: "127.0.0.1", port: String(store.address.port))]
                })
            _ = try await guest.stream.text()
            #expect(
                try await guest.ask("a LOGIN joe secret")
                    == "a NO [UNAVAILABLE] failed: Connection Negotiation Failure")
            guest.stream.close()
        }
    }

    /// The map might send her elsewhere now.
    @Test func aRefusalAtAnOldServerIsNoWrongPassword() async throws {
        try await onLoop { loop in
            let store = try Self.store(loop)
            let memory = MapMemory(try #require(MapMemory.Policy(fresh: 0, stale: 60_000, size: 10)))
            let replies = Replies()
            replies.set("joe", "OK \(store.address)")
            let map = try FakeMap(on: loop) { replies[$0] }
            let guest = try Guest(on: loop, Self.options(), map: map.path, memory: memory)
            _ = try await guest.stream.text()
            let wrong = "NO [AUTHENTICATIONFAILED] failed: Re-Authentication Failure"
            #expect(try await guest.ask("a LOGIN joe wrong") == "a \(wrong)")
            replies.all = "TEMP down"
            #expect(try await guest.ask("b LOGIN joe wrong") == "b NO [UNAVAILABLE] failed: Temporary lookup failure")
            #expect(try await guest.ask("c LOGIN joe secret") == "c OK You are so in")
            guest.stream.close()
        }
    }

    /// A backlog that is full drops what asks for a connection, as a machine that is down would.
    private static func silentServer(_ loop: isolated Loop) async throws -> (Listener, [Channel]) {
        let listener = try Listener()
        try #require(listen(listener.descriptor, 0) == 0)
        var held: [Channel] = []
        while held.count < 8 {
            do throws(ConnectError) {
                held.append(try await Channel.connect(to: listener.address, on: loop.thread, within: 100))
            } catch {
                return (listener, held)
            }
        }
        throw StreamError.failed("a full backlog takes connections")
    }
}
