import Daemon
import Glibc
import Testing

@testable import Proxy

/// When the master starts again what has ended, and what it takes for stuck.
struct ChargeTests {
    private static func charge() -> Charge {
        Charge(name: "map") { ChildProcess.Program(path: "/bin/sleep", arguments: ["sleep", "600"]) }
    }

    /// Milliseconds of pause before each restart, of a program that lives so long each time.
    private func pauses(_ count: Int, life: UInt64) -> [UInt64] {
        let charge = Self.charge()
        return (0..<count).map { _ in charge.restart(after: life, now: 0) }
    }

    @Test func whatDiesAtOnceDoesNotSpin() {
        #expect(pauses(9, life: 0) == [0, 0, 0, 0, 0, 100, 200, 400, 800])
        #expect(pauses(40, life: 30).last == Charge.longestDelay)
    }

    @Test func inAMinuteThereAreFewStartsOfWhatDiesAtOnce() {
        for life in [0, 50, 200, 700] as [UInt64] {
            let charge = Self.charge()
            var time: UInt64 = 0
            var starts = 0
            while time < 60_000 {
                time += life + charge.restart(after: life, now: time)
                starts += 1
            }
            #expect(starts <= 90, "\(life)")
            if life < 100 { #expect(starts <= 20, "\(life)") }
        }
    }

    @Test func whatIsKilledEverySecondIsAlwaysBackAtOnce() {
        #expect(pauses(1000, life: 990).allSatisfy { $0 == 0 })
    }

    @Test func whatHasRunWellBeginsAnew() {
        let charge = Self.charge()
        for _ in 0..<30 { _ = charge.restart(after: 0, now: 0) }
        #expect(charge.restart(after: 5_000, now: 0) == 0)
        for _ in 0..<4 { #expect(charge.restart(after: 0, now: 0) == 0) }
        #expect(charge.restart(after: 0, now: 0) == Charge.shortestDelay)
    }

    // MARK: Stuck

    /// A charge that runs, started at the given time.
    private func running(at time: UInt64, _ body: (Charge) -> Void) {
        let charge = Self.charge()
        #expect(charge.startIfDue(now: time) == nil)
        body(charge)
        charge.signal(SIGKILL)
        var status: Int32 = 0
        if let pid = charge.pid { waitpid(pid, &status, 0) }
    }

    private func restart(_ charge: Charge, at time: UInt64) {
        var status: Int32 = 0
        if let pid = charge.pid { waitpid(pid, &status, 0) }
        _ = charge.ended(status: status, now: time)
        #expect(charge.startIfDue(now: time + 60_000) == nil)
    }

    @Test func aSilentProviderIsEndedOnce() {
        running(at: 1_000) { charge in
            #expect(charge.endIfStuck(lastAnswer: 9_000, patience: 3_000, now: 11_000) == nil, "it answered lately")
            #expect(
                charge.endIfStuck(lastAnswer: 20_000, patience: 3_000, now: 11_000) == nil, "nobody knows the future")
            #expect(charge.endIfStuck(lastAnswer: 9_000, patience: 3_000, now: 12_000) != nil)
            #expect(charge.endIfStuck(lastAnswer: 9_000, patience: 3_000, now: 12_001) == nil, "others saw it, too")
        }
    }

    @Test func whatTheOneBeforeDidIsNotItsFault() {
        running(at: 10_000) { charge in
            #expect(charge.endIfStuck(lastAnswer: 6_000, patience: 3_000, now: 10_050) == nil)
            #expect(charge.endIfStuck(lastAnswer: 0, patience: 3_000, now: 12_999) == nil)
            #expect(charge.endIfStuck(lastAnswer: 0, patience: 3_000, now: 13_000) != nil)
        }
    }

    @Test func oneThatIsSlowToStartGetsMoreTimeNextTime() {
        running(at: 1) { charge in
            var time: UInt64 = 1
            for patience in [3_000, 6_000, 12_000] as [UInt64] {
                #expect(charge.endIfStuck(lastAnswer: 0, patience: 3_000, now: time + patience - 1) == nil)
                #expect(charge.endIfStuck(lastAnswer: 0, patience: 3_000, now: time + patience) != nil)
                restart(charge, at: time + patience)
                time += patience + 60_000
            }
            // An answer, and it is a provider like any other.
            #expect(charge.endIfStuck(lastAnswer: time + 1, patience: 3_000, now: time + 3_001) != nil)
            restart(charge, at: time + 3_001)
            time += 63_001
            #expect(charge.endIfStuck(lastAnswer: 0, patience: 3_000, now: time + 3_000) != nil)
        }
    }

    @Test func reportsArriveAsTheyWereSent() {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let reports = [StuckReport(map: 0, lastAnswer: 0), StuckReport(map: 15, lastAnswer: .max)]
        for report in reports { report.send(to: ends[1]) }
        #expect(StuckReport.receive(from: ends[0]) == reports)
        _ = write(ends[1], "garbage", 7)
        #expect(StuckReport.receive(from: ends[0]) == [])
    }
}
