import Glibc
import Synchronization
import Testing

@testable import Loop

/// Threads for what blocks.
@Suite(.timeLimit(.minutes(2))) struct BlockingPoolTests {
    @Test func bringsBackWhatTheWorkReturned() async throws {
        let pool = BlockingPool(name: "test", threads: 2)
        let results = try await onLoop(usesRing: true) { loop in
            var results: [Int] = []
            for number in 0..<100 {
                if let value = await pool.run({ number * 2 }) { results.append(value) }
                #expect(loop.thread.isCurrent)
            }
            return results
        }
        #expect(results == (0..<100).map { $0 * 2 })
    }

    @Test func theLoopGoesOnMeanwhile() async throws {
        let pool = BlockingPool(name: "test", threads: 1)
        let gate = Gate()
        try await onLoop(usesRing: true) { loop in
            let started = Tally()
            loop.start { loop in
                _ = await pool.run { gate.wait() }
                started.add()
            }
            // The gate opens only if this loop is not held up by what waits for it.
            await loop.thread.sleep(30)
            #expect(started.count == 0)
            gate.open()
            while started.count == 0 { await loop.thread.sleep(10) }
        }
    }

    @Test func usesAsManyThreadsAsAllowedAndNoMore() async throws {
        let pool = BlockingPool(name: "test", threads: 3)
        let gate = Gate()
        let inside = Tally()
        let done = Tally()
        try await onLoop(usesRing: true) { loop in
            for _ in 0..<10 {
                loop.start { _ in
                    _ = await pool.run {
                        inside.add()
                        gate.wait()
                    }
                    done.add()
                }
            }
            while inside.count < 3 { await loop.thread.sleep(10) }
            await loop.thread.sleep(50)
            #expect(inside.count == 3)
            gate.open()
            while done.count < 10 { await loop.thread.sleep(10) }
            #expect(inside.count == 10)
        }
    }

    @Test func refusesWhatItsQueueCannotHold() async throws {
        let pool = BlockingPool(name: "test", threads: 1, queue: 2)
        let gate = Gate()
        let inside = Tally()
        let done = Tally()
        try await onLoop(usesRing: true) { loop in
            for number in 0..<3 {
                loop.start { _ in
                    _ = await pool.run {
                        inside.add()
                        gate.wait()
                    }
                    done.add()
                }
                // The first one occupies the thread, the others the queue.
                if number == 0 { while inside.count < 1 { await loop.thread.sleep(10) } }
            }
            await loop.turn(4)
            #expect(await pool.run { 1 } == nil)
            gate.open()
            while done.count < 3 { await loop.thread.sleep(10) }
            #expect(await pool.run { 1 } == 1)
        }
    }

    /// Nobody is left waiting where the system has no thread to give.
    @Test(arguments: [0, 1, 2]) func saysSoWhereThereAreNoThreads(available: Int) async throws {
        let left = Tally()
        let pool = BlockingPool(name: "test", threads: 4) { name, body throws(Errno) in
            guard left.add() <= available else { throw Errno(EAGAIN) }
            try startThread(name: name, body)
        }
        let answers = Tally()
        let refusals = Tally()
        try await onLoop(usesRing: true) { loop in
            for _ in 0..<20 {
                loop.start { _ in
                    if await pool.run({ usleep(1000) }) == nil { refusals.add() } else { answers.add() }
                }
            }
            while answers.count + refusals.count < 20 { await loop.thread.sleep(10) }
        }
        #expect(available == 0 ? refusals.count == 20 : answers.count == 20)
    }
}

/// Holds threads up until it is opened.
private final class Gate: Sendable {
    private let isOpen = Atomic(false)

    func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }

    func wait() {
        while !isOpen.load(ordering: .sequentiallyConsistent) { usleep(1000) }
    }
}
