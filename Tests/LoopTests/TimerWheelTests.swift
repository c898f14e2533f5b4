import Testing

@testable import Loop

/// The timers of a loop as a value, without a clock.
@Suite(.timeLimit(.minutes(2))) struct TimerWheelTests {
    /// A timer that knows what it is.
    private final class Target: TimerTarget {
        let name: Int
        init(_ name: Int) { self.name = name }
        func timerFired() {}
    }

    private func fired(_ wheel: inout TimerWheel, at time: UInt64) -> [Int] {
        var names: [Int] = []
        wheel.advance(to: time)
        while let target = wheel.nextDue() {
            if let target = target as? Target { names.append(target.name) }
        }
        return names
    }

    @Test func firesWhenDueAndNotBefore() {
        var wheel = TimerWheel(now: 1000)
        _ = wheel.set(Target(1), at: 1500)
        #expect(wheel.count == 1)
        #expect(fired(&wheel, at: 1499) == [])
        #expect(fired(&wheel, at: 1500) == [1])
        #expect(wheel.count == 0)
        #expect(fired(&wheel, at: 1_000_000) == [])
    }

    @Test func neverFiresEarlyForATimeBetweenTicks() {
        var wheel = TimerWheel(now: 0)
        _ = wheel.set(Target(1), at: 101)
        #expect(fired(&wheel, at: 109) == [])
        #expect(fired(&wheel, at: 110) == [1])
    }

    @Test func aTimeThatIsOverFiresAtTheNextTick() {
        var wheel = TimerWheel(now: 5000)
        _ = wheel.set(Target(1), at: 4000)
        _ = wheel.set(Target(2), at: 5000)
        #expect(fired(&wheel, at: 5009) == [])
        #expect(Set(fired(&wheel, at: 5010)) == [1, 2])
    }

    @Test func aClockThatStandsStillOrGoesBackFiresNothing() {
        var wheel = TimerWheel(now: 5000)
        _ = wheel.set(Target(1), at: 5010)
        #expect(fired(&wheel, at: 5000) == [])
        #expect(fired(&wheel, at: 100) == [])
        #expect(fired(&wheel, at: 5010) == [1])
    }

    @Test func firesInTheOrderOfTicks() {
        var wheel = TimerWheel(now: 0)
        let times: [UInt64] = [40, 10, 5000, 30, 700_000, 20, 2_600_000, 50]
        for (name, time) in times.enumerated() { _ = wheel.set(Target(name), at: time) }
        #expect(fired(&wheel, at: 3_000_000) == [1, 5, 3, 0, 7, 2, 4, 6])
    }

    @Test func aCancelledTimerDoesNotFire() {
        var wheel = TimerWheel(now: 0)
        let first = wheel.set(Target(1), at: 100)
        _ = wheel.set(Target(2), at: 100)
        let third = wheel.set(Target(3), at: 100)
        wheel.cancel(first)
        wheel.cancel(third)
        #expect(wheel.count == 1)
        #expect(fired(&wheel, at: 200) == [2])
    }

    @Test func cancellingTwiceOrTooLateDoesNotHitTheNextUserOfThePlace() {
        var wheel = TimerWheel(now: 0)
        let old = wheel.set(Target(1), at: 100)
        wheel.cancel(old)
        let new = wheel.set(Target(2), at: 100)
        wheel.cancel(old)
        #expect(wheel.count == 1)
        #expect(fired(&wheel, at: 100) == [2])
        _ = wheel.set(Target(3), at: 200)
        wheel.cancel(new)
        #expect(fired(&wheel, at: 200) == [3])
    }

    /// The moment has come for all of them; those taken later can still be called off, and their places used anew.
    @Test func whatIsDueCanBeCancelledUntilItIsTaken() {
        var wheel = TimerWheel(now: 0)
        let timers = (0..<4).map { wheel.set(Target($0), at: 100) }
        wheel.advance(to: 100)
        #expect(wheel.count == 4)
        let first = (wheel.nextDue() as? Target)?.name ?? -1
        let other = (first + 1) % 4
        wheel.cancel(timers[other])
        wheel.cancel(timers[first])
        _ = wheel.set(Target(9), at: 100)
        var rest: [Int] = []
        while let target = wheel.nextDue() as? Target { rest.append(target.name) }
        #expect(Set(rest) == Set(0..<4).subtracting([first, other]))
        #expect(fired(&wheel, at: 110) == [9])
    }

    @Test func aTargetIsHeldUntilItFiredOrWasCancelled() {
        var wheel = TimerWheel(now: 0)
        weak var fires: Target?
        weak var cancelled: Target?
        let timer: TimerID
        do {
            let one = Target(1)
            let two = Target(2)
            fires = one
            cancelled = two
            _ = wheel.set(one, at: 100)
            timer = wheel.set(two, at: 100)
        }
        #expect(fires != nil)
        #expect(cancelled != nil)
        wheel.cancel(timer)
        #expect(cancelled == nil)
        _ = fired(&wheel, at: 100)
        #expect(fires == nil)
    }

    /// One tick below, on and above every border between the rings, from clocks that stand in odd places.
    @Test(arguments: [0, 10, 2550, 2560, 655_350, 655_360, 167_772_150, 167_772_160, 123_456_780] as [UInt64])
    func cascadesOverAllRings(start: UInt64) {
        let borders: [UInt64] = [1, 255, 256, 257, 65_279, 65_280, 65_535, 65_536, 65_537]
        for ticks in borders + [16_777_215, 16_777_216, 40_000_000] {
            var wheel = TimerWheel(now: start)
            let time = start + ticks * TimerWheel.millisecondsPerTick
            _ = wheel.set(Target(1), at: time)
            var clock = start
            var naps = 0
            // As a loop would: it sleeps no longer than it is told.
            while let delay = wheel.delay(from: clock), naps < 1000 {
                #expect(clock + delay <= time, "sleeps past a timer \(ticks) ticks ahead")
                clock += delay
                naps += 1
                let names = fired(&wheel, at: clock)
                #expect(names == (clock >= time ? [1] : []), "\(ticks) ticks ahead, at \(clock)")
            }
            #expect(wheel.count == 0, "\(ticks) ticks ahead")
            #expect(naps <= 8, "\(naps) wake-ups for one timer \(ticks) ticks ahead")
        }
    }

    @Test(arguments: [.max, .max - 1, .max - 9, .max / 2, 1 << 60] as [UInt64])
    func theFarthestTimesAreNotTakenForPast(time: UInt64) {
        var wheel = TimerWheel(now: 1000)
        let timer = wheel.set(Target(1), at: time)
        #expect(fired(&wheel, at: 1_000_000_000) == [])
        #expect(wheel.count == 1)
        wheel.cancel(timer)
        #expect(wheel.count == 0)
        #expect(wheel.delay(from: 1_000_000_000) == nil)
    }

    @Test func hasNoDelayWithoutTimers() {
        var wheel = TimerWheel(now: 0)
        #expect(wheel.delay(from: 0) == nil)
        let timer = wheel.set(Target(1), at: 50)
        #expect(wheel.delay(from: 0) == 50)
        #expect(wheel.delay(from: 47) == 3)
        #expect(wheel.delay(from: 60) == 0)
        wheel.cancel(timer)
        #expect(wheel.delay(from: 0) == nil)
    }

    @Test func aHundredThousandTimersFireOnceEach() {
        var wheel = TimerWheel(now: 0)
        let count = 100_000
        var timers: [TimerID] = []
        for name in 0..<count {
            timers.append(wheel.set(Target(name), at: UInt64(name * 7919 % count) * 30))
        }
        for name in stride(from: 0, to: count, by: 4) { wheel.cancel(timers[name]) }
        #expect(wheel.count == count * 3 / 4)
        var times = [Int](repeating: 0, count: count)
        for clock in stride(from: UInt64(0), through: UInt64(count) * 30 + 10, by: 9973) {
            for name in fired(&wheel, at: clock) { times[name] += 1 }
        }
        for name in fired(&wheel, at: UInt64(count) * 30 + 10) { times[name] += 1 }
        #expect(times.indices.allSatisfy { times[$0] == ($0 % 4 == 0 ? 0 : 1) })
        #expect(wheel.count == 0)
    }

    /// Against the simplest thing that is right: an array, searched from end to end.
    @Test(arguments: 0..<20 as Range<UInt64>) func agreesWithASortedArray(seed: UInt64) {
        var random = Sequence64(seed: seed)
        var clock = UInt64.random(in: 0...400_000_000, using: &random)
        var wheel = TimerWheel(now: clock)
        var model: [(name: Int, tick: UInt64, timer: TimerID)] = []
        var name = 0
        for _ in 0..<2000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let reach: UInt64 = [30, 3000, 700_000, 200_000_000].randomElement(using: &random) ?? 30
                let time = clock + UInt64.random(in: 0...reach, using: &random)
                let tick = max((time + 9) / 10, clock / 10 + 1)
                model.append((name, tick, wheel.set(Target(name), at: time)))
                name += 1
            case 5..<7:
                guard let index = model.indices.randomElement(using: &random) else { continue }
                wheel.cancel(model.remove(at: index).timer)
            default:
                let reach: UInt64 = [20, 2000, 500_000, 100_000_000].randomElement(using: &random) ?? 20
                let next = model.map(\.tick).min()
                let delay = wheel.delay(from: clock)
                #expect((delay == nil) == model.isEmpty)
                if let delay, let next { #expect(clock + delay <= max(next * 10, clock)) }
                clock += UInt64.random(in: 0...reach, using: &random)
                let due = model.filter { $0.tick <= clock / 10 }
                model.removeAll { $0.tick <= clock / 10 }
                let names = fired(&wheel, at: clock)
                #expect(Set(names) == Set(due.map(\.name)))
                #expect(names.count == due.count)
                let ticks = Dictionary(uniqueKeysWithValues: due.map { ($0.name, $0.tick) })
                let order = names.compactMap { ticks[$0] }
                #expect(order == order.sorted())
            }
            #expect(wheel.count == model.count)
        }
    }
}

/// The same random numbers in each run (SplitMix64).
private struct Sequence64: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
