import CLinux
import Foundation
import Lookup
import Loop
import Synchronization
import Testing

/// The client on an event loop, against a server that was not written with this library.
@Suite(.serialized)
struct ClientTests {
    private let scratch: Scratch
    private var path: String { scratch.file("map") }

    init() throws {
        scratch = try Scratch()
    }

    private func startServer(_ entries: [String]) throws -> Program {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "socketmap.py").path
        return try Program("python3", [script, path] + entries)
    }

    private func isServed() -> Bool { BlockingClient(path: path) != nil }

    /// What came of several lookups asked at once.
    private final class Tally {
        var answers: [Answer?]
        var missing: Int

        init(_ count: Int) {
            answers = Array(repeating: nil, count: count)
            missing = count
        }
    }

    /// Asks for all keys at once and waits for all answers.
    private static func ask(_ client: Client, _ keys: [String], _ loop: isolated Loop) async -> [Answer?] {
        // All of it stays on this loop, which the compiler cannot see.
        nonisolated(unsafe) let (client, tally) = (client, Tally(keys.count))
        for (index, key) in keys.enumerated() {
            loop.start { _ in
                tally.answers[index] = await client.lookUp(Array(key.utf8))
                tally.missing -= 1
            }
        }
        while tally.missing > 0 { await loop.thread.sleep(10) }
        return tally.answers
    }

    @Test func aForeignServerIsUnderstood() async throws {
        let server = try startServer(["joe=10.0.0.1:110", "straße 7=[2001:db8::7]", "odd=!raw 5:FOO x,"])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let path = path
        let answers = try await onLoop { loop in
            let client = Client(path: path, on: loop.thread)
            defer { client.close() }
            var answers: [Answer] = []
            for key in ["joe", "straße 7", "nobody", "odd", "joe"] {
                answers.append(await client.lookUp(Array(key.utf8)))
            }
            answers.append(await client.lookUp([UInt8](repeating: 120, count: Limits.key + 1)))
            return answers
        }
        #expect(answers[0] == .found(Array("10.0.0.1:110".utf8)))
        #expect(answers[1] == .found(Array("[2001:db8::7]".utf8)))
        #expect(answers[2] == .notFound)
        guard case .temporary = answers[3], case .permanent = answers[5] else {
            Issue.record("\(answers)")
            return
        }
        #expect(answers[4] == answers[0])
    }

    @Test(arguments: [1, 4])
    func everybodyGetsTheirOwnAnswer(connections: Int) async throws {
        let server = try startServer((0..<200).map { "user\($0)=host\($0)" })
        defer { server.stop() }
        try await eventually("the server", isServed)
        let path = path
        let keys = (0..<1000).map { "user\($0 * 7 % 300)" }
        let answers = try await onLoop { loop in
            let client = Client(path: path, connections: connections, on: loop.thread)
            defer { client.close() }
            return await Self.ask(client, keys, loop)
        }
        for (key, answer) in zip(keys, answers) {
            let number = try #require(Int(key.dropFirst(4)))
            #expect(answer == (number < 200 ? .found(Array("host\(number)".utf8)) : .notFound))
        }
    }

    @Test func withoutAServerItIsTemporary() async throws {
        let path = path
        let answer = try await onLoop { loop in
            let client = Client(path: path, deadline: 200, on: loop.thread)
            return await client.lookUp(Array("joe".utf8))
        }
        guard case .temporary(let reason) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(reason.contains(path))
    }

    @Test func aServerThatComesInTimeAnswersThoseWhoWait() async throws {
        let path = path
        async let answers = onLoop { loop in
            let client = Client(path: path, deadline: 20_000, on: loop.thread)
            defer { client.close() }
            return await Self.ask(client, ["joe", "nobody", "joe"], loop)
        }
        try await Task.sleep(for: .milliseconds(300))
        let server = try startServer(["joe=10.0.0.1"])
        defer { server.stop() }
        let joe = Answer.found(Array("10.0.0.1".utf8))
        #expect(try await answers == [joe, .notFound, joe])
    }

    @Test func aStuckLookupFailsAloneAndInTime() async throws {
        let server = try startServer(["stuck=!wait", "joe=10.0.0.1"])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let path = path
        let answers = try await onLoop { loop in
            nonisolated(unsafe) let (client, tally) = (
                Client(path: path, deadline: 1_000, connections: 1, on: loop.thread), Tally(2)
            )
            defer { client.close() }
            loop.start { _ in
                tally.answers[0] = await client.lookUp(Array("stuck".utf8))
                tally.missing -= 1
            }
            await loop.thread.sleep(500)
            // Behind the stuck one, on the only connection there may be.
            tally.answers[1] = await client.lookUp(Array("joe".utf8))
            while tally.missing > 1 { await loop.thread.sleep(10) }
            return tally.answers
        }
        #expect(answers[0] == .temporary("the map did not answer in time"))
        #expect(answers[1] == .found(Array("10.0.0.1".utf8)))
    }

    /// What a client was told of a provider.
    private final class Reports: Sendable {
        let times = Mutex<[UInt64]>([])
        var count: Int { times.withLock { $0.count } }
    }

    @Test func aSilentConnectionIsNotTheLastWord() async throws {
        let path = path
        // One thread of the provider is stuck for ever, with whatever connection it has got.
        let script = """
            import socket, sys, threading
            server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(64)
            def serve(connection, index):
                while got := connection.recv(65536):
                    if index > 1: connection.sendall(b"4:OK x," * got.count(b","))
            index = 0
            while True:
                threading.Thread(target=serve, args=[server.accept()[0], index], daemon=True).start()
                index += 1
            """
        let server = try Program("python3", ["-c", script, path])
        defer { server.stop() }
        // This takes the first connection.
        try await eventually("the server", isServed)
        let reports = Reports()
        let answers = try await onLoop { loop in
            let pulse = Pulse(patience: 500) { last in reports.times.withLock { $0.append(last) } }
            let client = Client(path: path, deadline: 30_000, connections: 1, pulse: pulse, on: loop.thread)
            defer { client.close() }
            return await Self.ask(client, (0..<20).map { "user\($0)" }, loop)
        }
        #expect(answers == Array(repeating: .found([120]), count: 20))
    }

    @Test func aLateAnswerIsAnAnswer() async throws {
        let path = path
        let script = """
            import socket, sys, time
            server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(64)
            while True:
                connection = server.accept()[0]
                while got := connection.recv(65536):
                    time.sleep(2)
                    connection.sendall(b"4:OK x," * got.count(b","))
            """
        let server = try Program("python3", ["-c", script, path])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let answer = try await onLoop { loop in
            // It serves one connection for good, the first: the second try comes to nothing.
            let pulse = Pulse(patience: 300) { _ in }
            let client = Client(path: path, deadline: 60_000, connections: 1, pulse: pulse, on: loop.thread)
            defer { client.close() }
            return await client.lookUp(Array("joe".utf8))
        }
        #expect(answer == .found([120]))
    }

    @Test func whoGivesNoAnswerAtAllIsReported() async throws {
        let server = try startServer(["stuck=!wait", "joe=10.0.0.1"])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let path = path
        let reports = Reports()
        let (before, answer) = try await onLoop { loop in
            let pulse = Pulse(patience: 400) { last in reports.times.withLock { $0.append(last) } }
            let client = Client(path: path, deadline: 2_000, pulse: pulse, on: loop.thread)
            defer { client.close() }
            for _ in 0..<5 { _ = await client.lookUp(Array("joe".utf8)) }
            let before = reports.count
            return (before, await client.lookUp(Array("stuck".utf8)))
        }
        #expect(before == 0)
        #expect(answer == .temporary("the map did not answer in time"))
        let times = reports.times.withLock { $0 }
        #expect((1...40).contains(times.count), "again and again, but not in a busy circle: \(times.count)")
        #expect(Set(times).count == 1 && times.first != 0, "the time of joe's answer")
    }

    @Test func whoAnswersOthersIsNot() async throws {
        let server = try startServer(["stuck=!wait", "joe=10.0.0.1"])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let path = path
        let reports = Reports()
        let answered = try await onLoop { loop in
            let pulse = Pulse(patience: 1_000) { last in reports.times.withLock { $0.append(last) } }
            // Another loop's client, for all they know of one another.
            let other = Client(path: path, deadline: 4_000, pulse: pulse, on: loop.thread)
            nonisolated(unsafe) let (client, tally) = (
                Client(path: path, deadline: 4_000, pulse: pulse, on: loop.thread), Tally(1)
            )
            defer {
                client.close()
                other.close()
            }
            loop.start { _ in
                tally.answers[0] = await client.lookUp(Array("stuck".utf8))
                tally.missing = 0
            }
            var answered = 0
            while tally.missing > 0 {
                if case .found = await other.lookUp(Array("joe".utf8)) { answered += 1 }
                await loop.thread.sleep(20)
            }
            return answered
        }
        #expect(answered > 1)
        #expect(reports.count == 0)
    }

    @Test(arguments: ["garbage", "9999999:", "9:OK toolong!!"])
    func anUnreadableReplyFailsOneLookup(reply: String) async throws {
        let server = try startServer(["bad=!raw \(reply)", "joe=10.0.0.1"])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let path = path
        let answers = try await onLoop { loop in
            let client = Client(path: path, connections: 1, on: loop.thread)
            defer { client.close() }
            return await Self.ask(client, ["joe", "bad", "joe", "nobody"], loop)
        }
        let joe = Answer.found(Array("10.0.0.1".utf8))
        #expect(answers[0] == joe && answers[2] == joe && answers[3] == .notFound)
        guard case .temporary = answers[1] else {
            Issue.record("\(answers)")
            return
        }
    }

    @Test func aServerThatOnlyHangsUpIsNotAskedInABusyCircle() async throws {
        let path = path
        let (answer, connections) = try await onLoop { loop in
            let listener = try #require(listen(at: path))
            defer { close(listener) }
            let counter = Counter()
            let acceptor = try Acceptor(listener, on: loop.thread) { descriptor, _ in
                counter.count += 1
                close(descriptor)
            } failed: {
                Issue.record("\($0)")
            }
            defer { acceptor.stop() }
            let client = Client(path: path, deadline: 1_000, on: loop.thread)
            defer { client.close() }
            return (await client.lookUp(Array("joe".utf8)), counter.count)
        }
        guard case .temporary = answer else {
            Issue.record("\(answer)")
            return
        }
        // 20 ms, doubled each time: 6 tries in a second.
        #expect((2...10).contains(connections))
    }

    private final class Counter {
        var count = 0
    }

    @Test func whatAServerLeavesUnansweredIsAskedAgain() async throws {
        let path = path
        // Hangs up on each third request, so nobody is answered without being asked again at times.
        let script = """
            import os, socket, sys
            server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(64)
            while True:
                connection, _ = server.accept()
                seen = b""
                while seen.count(b",") < 3:
                    got = connection.recv(65536)
                    if not got: break
                    for _ in range(min(got.count(b","), 2 - seen.count(b","))): connection.sendall(b"4:OK x,")
                    seen += got
                connection.close()
            """
        let server = try Program("python3", ["-c", script, path])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let answers = try await onLoop { loop in
            let client = Client(path: path, deadline: 30_000, connections: 1, on: loop.thread)
            defer { client.close() }
            return await Self.ask(client, (0..<50).map { "user\($0)" }, loop)
        }
        #expect(answers == Array(repeating: .found([120]), count: 50))
    }

    @Test func closingAnswersEverybody() async throws {
        let server = try startServer(["stuck=!wait"])
        defer { server.stop() }
        try await eventually("the server", isServed)
        let path = path
        let answers = try await onLoop { loop in
            nonisolated(unsafe) let client = Client(path: path, on: loop.thread)
            loop.start { loop in
                await loop.thread.sleep(100)
                client.close()
            }
            return await Self.ask(client, ["stuck", "stuck", "stuck"], loop) + [await client.lookUp([120])]
        }
        #expect(answers == Array(repeating: .temporary("the proxy is ending"), count: 4))
    }
}

/// A listening Unix socket.
private func listen(at path: String) -> Int32? {
    let descriptor = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    return bound == 0 && listen(descriptor, 16) == 0 ? descriptor : nil
}
