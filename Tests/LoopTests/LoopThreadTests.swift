import CLinux
import Glibc
import Synchronization
import Testing

@testable import Loop

/// Jobs, wake-ups, timers and turns of a running loop.
@Suite(.timeLimit(.minutes(2))) struct LoopThreadTests {
    // MARK: Wake-ups

    @Test func aTaskStartedFromAnotherThreadWakesASleepingLoop() async throws {
        let thread = try LoopThread()
        try thread.start(name: "test")
        defer { thread.stop() }
        let loop = Loop(thread)
        for _ in 0..<100 {
            let isThere = await withCheckedContinuation { continuation in
                loop.start { loop in continuation.resume(returning: loop.thread.isCurrent) }
            }
            #expect(isThere)
        }
    }

    @Test func noWakeUpIsLostAmongManyThreads() async throws {
        let thread = try LoopThread()
        try thread.start(name: "test")
        defer { thread.stop() }
        let loop = Loop(thread)
        let done = Tally()
        let perThread = 2000
        await withCheckedContinuation { continuation in
            for _ in 0..<4 {
                #expect(throws: Never.self) {
                    try startThread(name: "peer") {
                        for _ in 0..<perThread {
                            loop.start { _ in
                                if done.add() == 4 * perThread { continuation.resume() }
                            }
                        }
                    }
                }
            }
        }
        #expect(done.count == 4 * perThread)
    }

    @Test func tasksOfAnActorMethodRunOnItsThread() async throws {
        let thread = try LoopThread()
        try thread.start(name: "test")
        defer { thread.stop() }
        let loop = Loop(thread)
        let here = Tally()
        await loop.finish { loop in if loop.thread.isCurrent { here.add() } }
        #expect(here.count == 1)
    }

    /// Of those who queue up a few go on in each turn, and in the end all.
    @Test func fewOfTheQueueGoOnInATurn() async throws {
        try await onLoop { loop in
            let steps = Tally()
            for _ in 0..<100 {
                loop.start { loop in
                    for _ in 0..<5 {
                        await loop.thread.queueUp()
                        steps.add()
                    }
                }
            }
            let turns = Tally()
            loop.thread.beforeSleep = { turns.add() }
            while steps.count < 500, turns.count < 10_000 { await loop.turn() }
            loop.thread.beforeSleep = nil
            #expect(steps.count == 500)
            #expect(turns.count >= 500 / 16)
        }
    }

    /// While connections wait to be taken, one goes on in each turn.
    @Test func oneOfTheQueueGoesOnInACrowdedTurn() async throws {
        try await onLoop { loop in
            let thread = loop.thread
            let (one, other) = try socketPair()
            let channel = try Channel(one, on: thread)
            let steps = Tally()
            var (turns, gone) = (0, 0)
            let crowd = Callback {
                thread.crowded = true
                turns += 1
                gone = steps.count
                if turns < 50 { thread.again(channel) }
            }
            channel.handler = crowd
            thread.again(channel)
            for _ in 0..<100 {
                loop.start { loop in
                    await loop.thread.queueUp()
                    steps.add()
                }
            }
            // In the end all do.
            while steps.count < 100 { await loop.turn() }
            #expect(turns == 50)
            #expect((40...50).contains(gone))
            channel.close()
            close(other)
        }
    }

    @Test func aLoopThatDoesNotRunBelongsToNobody() throws {
        let thread = try LoopThread()
        #expect(!thread.isCurrent)
    }

    /// The maker of a loop hands it work while its thread is still on its way.
    @Test func workForALoopThatIsJustStartingIsNotLost() async throws {
        for _ in 0..<200 {
            let thread = try LoopThread()
            let loop = Loop(thread)
            let done = Tally()
            loop.start { _ in done.add() }
            try thread.start(name: "test")
            loop.start { _ in done.add() }
            await withCheckedContinuation { continuation in
                loop.start { _ in continuation.resume() }
            }
            #expect(done.count == 2)
            thread.stop()
        }
    }

    @Test(arguments: [false, true]) func jobsRunInOrder(usesRing: Bool) async throws {
        let order = Mutex<[Int]>([])
        try await onLoop(usesRing: usesRing) { loop in
            await withCheckedContinuation { continuation in
                for number in 0..<100 {
                    loop.start { _ in
                        order.withLock { $0.append(number) }
                        if number == 99 { continuation.resume() }
                    }
                }
            }
        }
        #expect(order.withLock { $0 } == Array(0..<100))
    }

    // MARK: Time

    @Test func sleepLastsAsLongAsAsked() async throws {
        let passed = try await onLoop { loop in
            let before = LoopThread.clock()
            await loop.thread.sleep(60)
            return LoopThread.clock() - before
        }
        #expect(passed >= 60)
    }

    /// The clock of a turn stands still while the turn lasts; a nap begins where it is asked for.
    @Test func sleepIsNotShortenedByALongTurn() async throws {
        let passed = try await onLoop { loop in
            await loop.turn()
            usleep(80_000)
            let before = LoopThread.clock()
            await loop.thread.sleep(60)
            return LoopThread.clock() - before
        }
        #expect(passed >= 60)
    }

    @Test(arguments: [false, true]) func manySleepersWakeInTheOrderOfTheirTimes(usesRing: Bool) async throws {
        let order = Mutex<[Int]>([])
        try await onLoop(usesRing: usesRing) { loop in
            await withCheckedContinuation { continuation in
                for number in [5, 1, 4, 2, 3] {
                    loop.start { loop in
                        await loop.thread.sleep(UInt64(number) * 40)
                        let isLast = order.withLock { order in
                            order.append(number)
                            return order.count == 5
                        }
                        if isLast { continuation.resume() }
                    }
                }
            }
        }
        #expect(order.withLock { $0 } == [1, 2, 3, 4, 5])
    }

    @Test func aTimerMaySetAnotherInItsCall() async throws {
        let rounds = try await onLoop { loop in
            final class Chain: TimerTarget {
                let thread: LoopThread
                var rounds = 0
                var done: CheckedContinuation<Void, Never>?
                init(_ thread: LoopThread) { self.thread = thread }
                func timerFired() {
                    rounds += 1
                    guard rounds < 5 else {
                        done?.resume()
                        return
                    }
                    _ = thread.setTimer(self, after: 0)
                }
            }
            let chain = Chain(loop.thread)
            await withCheckedContinuation { continuation in
                chain.done = continuation
                _ = loop.thread.setTimer(chain, after: 10)
            }
            return chain.rounds
        }
        #expect(rounds == 5)
    }

    @Test func aTimerTakenBackByItsNeighbourOfTheSameMomentDoesNotFire() async throws {
        let calls = try await onLoop { loop in
            let thread = loop.thread
            var ids: [TimerID] = []
            var calls = 0
            // Whichever comes first takes the other back.
            for other in [1, 0] {
                ids.append(
                    thread.setTimer(
                        Callback {
                            calls += 1
                            thread.cancelTimer(ids[other])
                        }, after: 20))
            }
            await thread.sleep(100)
            return calls
        }
        #expect(calls == 1)
    }

    @Test func theFarthestTimerNeitherFiresNorKeepsTheLoopAwake() async throws {
        let calls = try await onLoop { loop in
            let far = Callback()
            let timer = loop.thread.setTimer(far, after: .max)
            await loop.thread.sleep(30)
            loop.thread.cancelTimer(timer)
            return far.calls
        }
        #expect(calls == 0)
    }

    // MARK: Turns

    /// Two handlers that never get done have the same number of turns, and the tasks of the loop have theirs.
    @Test func whoAsksForMoreTurnsGetsOneAtATime() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            let (one, two) = (try Channel(a, on: loop.thread), try Channel(b, on: loop.thread))
            let thread = loop.thread
            let eager = Callback { thread.again(one) }
            let modest = Callback { thread.again(two) }
            one.handler = eager
            two.handler = modest
            // Asking more than once in a turn is asking once.
            for _ in 0..<10 { thread.again(one) }
            thread.again(two)
            let before = (eager.calls, modest.calls)
            await loop.turn(100)
            let turns = (eager.calls - before.0, modest.calls - before.1)
            #expect(turns.1 >= 10, "tasks and handlers share the loop")
            #expect(abs(turns.0 - turns.1) <= 4, "\(turns.0) turns against \(turns.1)")
            one.close()
            two.close()
        }
    }

    @Test func aChannelClosedBeforeItsNextTurnIsNotCalled() async throws {
        let calls = try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            let handler = Callback()
            channel.handler = handler
            loop.thread.again(channel)
            channel.close()
            await loop.turn()
            return handler.calls
        }
        #expect(calls == 0)
    }

    // MARK: Cost

    /// What a wait costs: the loop sleeps once, and no other thread of the program has a part in it.
    @Test(arguments: [false, true]) func oneSleepForEachWait(usesRing: Bool) async throws {
        let rounds = 500
        let (near, far) = try socketPair()
        #expect(linux_fcntl(far, F_SETFL, 0) == 0)
        try startThread(name: "peer") {
            var byte: UInt8 = 0
            while write(far, &byte, 1) == 1, read(far, &byte, 1) == 1 {}
            close(far)
        }
        let switches = try await onLoop(usesRing: usesRing) { loop in
            let channel = try Channel(near, on: loop.thread)
            defer { channel.close() }
            let before = Budgets.voluntarySwitches()
            var room: [UInt8] = [0]
            for _ in 0..<rounds {
                while case .wouldBlock = room.withUnsafeMutableBytes({ channel.receive(into: $0) }) {
                    #expect(await channel.waitReadable(within: 10_000) == .ready)
                }
                #expect(room.withUnsafeBytes { channel.send($0) } == .moved(1))
            }
            return Budgets.voluntarySwitches() - before
        }
        #expect(switches > 0)
        #expect(Double(switches) <= Double(rounds) * Budgets.switchesPerWait)
    }
}
