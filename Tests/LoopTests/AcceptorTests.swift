import CLinux
import Glibc
import Synchronization
import Testing

@testable import Loop

/// Connections taken from listening sockets.
@Suite(.timeLimit(.minutes(2))) struct AcceptorTests {
    @Test(arguments: ["127.0.0.1", "::1"]) func handsOverConnectionsAndPeers(host: String) async throws {
        let listener = try Listener(host)
        try await onLoop { loop in
            var peers: [SocketAddress] = []
            let acceptor = try Acceptor(listener.descriptor, on: loop.thread) { descriptor, peer in
                #expect(SocketAddress.of(descriptor, peer: true) == peer)
                #expect(linux_fcntl(descriptor, F_GETFL, 0) & O_NONBLOCK != 0)
                #expect(linux_fcntl(descriptor, F_GETFD, 0) & FD_CLOEXEC != 0)
                close(descriptor)
                peers.append(peer)
            } failed: {
                Issue.record("\($0)")
            }
            var own: [SocketAddress] = []
            for _ in 0..<50 {
                let client = try listener.connect()
                own.append(SocketAddress.of(client, peer: false))
                close(client)
            }
            while peers.count < 50 { await loop.thread.sleep(10) }
            #expect(peers == own)
            acceptor.stop()
        }
    }

    @Test func takesNoMoreOnceStopped() async throws {
        let listener = try Listener("127.0.0.1")
        try await onLoop { loop in
            var count = 0
            var acceptor: Acceptor?
            acceptor = try Acceptor(listener.descriptor, on: loop.thread) { descriptor, _ in
                close(descriptor)
                count += 1
                acceptor?.stop()
            } failed: {
                Issue.record("\($0)")
            }
            let clients = try (0..<5).map { _ in try listener.connect() }
            await loop.thread.sleep(50)
            #expect(count == 1)
            // The others wait for whoever shares the socket.
            close(try listener.accept())
            for client in clients { close(client) }
            acceptor = nil
        }
    }

    @Test func whoWaitsIsTakenBeforeItCloses() async throws {
        let listener = try Listener("127.0.0.1")
        try await onLoop { loop in
            var count = 0
            let acceptor = try Acceptor(listener.descriptor, on: loop.thread) { descriptor, _ in
                close(descriptor)
                count += 1
            } failed: {
                Issue.record("\($0)")
            }
            // More than it takes in one go, and the loop has no turn in between.
            let clients = try (0..<Acceptor.burst * 3).map { _ in try listener.connect() }
            acceptor.close(taking: 1000)
            #expect(count == clients.count)
            let late = try listener.connect()
            await loop.thread.sleep(50)
            #expect(count == clients.count)
            close(try listener.accept())
            for client in clients + [late] { close(client) }
        }
    }

    /// Turns in which it takes as many as it may are crowded, and no others.
    @Test(arguments: [false, true]) func saysWhenMoreMayWait(usesRing: Bool) async throws {
        let listener = try Listener("127.0.0.1", backlog: 512)
        let clients = try (0..<Acceptor.burst * 3 + 5).map { _ in try listener.connect() }
        defer { for client in clients { close(client) } }
        try await onLoop(usesRing: usesRing) { loop in
            var (count, taken) = (0, 0)
            let acceptor = try Acceptor(listener.descriptor, on: loop.thread) { descriptor, _ in
                close(descriptor)
                count += 1
                taken += 1
            } failed: {
                Issue.record("\($0)")
            }
            var crowded: [Int: Bool] = [:]
            loop.thread.beforeSleep = {
                #expect(crowded[taken, default: loop.thread.isCrowded] == loop.thread.isCrowded)
                crowded[taken] = loop.thread.isCrowded
                taken = 0
            }
            while count < clients.count { await loop.turn() }
            await loop.turn()
            loop.thread.beforeSleep = nil
            acceptor.stop()
            #expect(crowded.allSatisfy { $0.value == ($0.key == Acceptor.burst) })
            #expect(crowded[Acceptor.burst] == true && crowded[0] == false)
        }
    }

    /// A socket that was shut down stands in for EMFILE, which would hit every other test of this process too.
    @Test(arguments: [false, true]) func restsWhileNothingCanBeAccepted(usesRing: Bool) async throws {
        let listener = try Listener("127.0.0.1")
        try await onLoop(usesRing: usesRing) { loop in
            var count = 0
            var failures: [Errno] = []
            let acceptor = try Acceptor(listener.descriptor, on: loop.thread) { descriptor, _ in
                close(descriptor)
                count += 1
            } failed: {
                failures.append($0)
            }
            #expect(shutdown(listener.descriptor, Int32(SHUT_RDWR)) == 0)
            // As many turns as it would take to fail thousands of times.
            let before = LoopThread.clock()
            while failures.isEmpty { await loop.thread.sleep(10) }
            await loop.turn(1000)
            #expect(failures.count <= 1 + Int((LoopThread.clock() - before) / Acceptor.rest))
            #expect(Set(failures.map(\.code)) == [EINVAL])
            #expect(listen(listener.descriptor, 64) == 0)
            close(try listener.connect())
            while count == 0 { await loop.thread.sleep(10) }
            #expect(count == 1)
            acceptor.stop()
        }
    }

    @Test func staysStoppedWhenItsRestIsOver() async throws {
        let listener = try Listener("127.0.0.1")
        try await onLoop { loop in
            var count = 0
            var failures = 0
            let acceptor = try Acceptor(listener.descriptor, on: loop.thread) { descriptor, _ in
                close(descriptor)
                count += 1
            } failed: { _ in
                failures += 1
            }
            #expect(shutdown(listener.descriptor, Int32(SHUT_RDWR)) == 0)
            while failures == 0 { await loop.thread.sleep(10) }
            acceptor.stop()
            #expect(listen(listener.descriptor, 64) == 0)
            let client = try listener.connect()
            defer { close(client) }
            await loop.thread.sleep(Acceptor.rest * 2)
            #expect(count == 0)
        }
    }

    @Test func twoLoopsShareASocketAndNoConnectionIsLost() async throws {
        let listener = try Listener("127.0.0.1", backlog: 512)
        let total = 400
        let counts = [Tally(), Tally()]
        let acceptors = Mutex<[Loop]>([])
        for count in counts {
            let thread = try LoopThread()
            try thread.start(name: "test")
            let loop = Loop(thread)
            acceptors.withLock { $0.append(loop) }
            await withCheckedContinuation { continuation in
                loop.start { loop in
                    loop.thread.tenant = try? Acceptor(listener.descriptor, on: loop.thread) { descriptor, _ in
                        close(descriptor)
                        count.add()
                        // Work enough that one loop alone would fall behind.
                        usleep(200)
                    } failed: {
                        Issue.record("\($0)")
                    }
                    continuation.resume()
                }
            }
        }
        for _ in 0..<total { close(try listener.connect()) }
        try await onLoop { loop in
            while counts[0].count + counts[1].count < total { await loop.thread.sleep(10) }
        }
        #expect(counts[0].count + counts[1].count == total)
        #expect(counts.allSatisfy { $0.count > 0 }, "\(counts.map(\.count))")
        for loop in acceptors.withLock({ $0 }) {
            await loop.finish { ($0.thread.tenant as? Acceptor)?.stop() }
            loop.thread.stop()
        }
    }
}
