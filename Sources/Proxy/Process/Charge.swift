import Daemon
import Glibc

/// One program the master keeps running.
///
/// Started again at once is what has earned it: five starts are to its credit, and the time it runs buys more. A program
/// that dies as soon as it is started soon has none left, and waits from then on, twice as long each time.
final class Charge {
    /// Milliseconds a program has to run to pay for one immediate restart: one that is killed every second is always
    /// back at once.
    static let price: UInt64 = 800
    /// Immediate restarts it can have in a row.
    static let burst: UInt64 = 5
    /// Milliseconds before the first restart of something without credit; doubled up to `longestDelay`.
    static let shortestDelay: UInt64 = 100
    /// Milliseconds between two restarts at most.
    static let longestDelay: UInt64 = 30_000
    /// Milliseconds after which a program counts as having run well: its next pause is the shortest again.
    static let provenLife: UInt64 = 5_000

    /// What it is, for the log.
    let name: String
    /// Its process; nil while it does not run.
    private(set) var pid: pid_t?
    /// When it is to be started next; nil while it runs.
    private(set) var due: UInt64?
    /// Where its standard error goes; nil for ours.
    let errors: ErrorPipe?
    private let program: () -> ChildProcess.Program
    private var delay = Charge.shortestDelay
    private var credit = Charge.price * Charge.burst
    private var started: UInt64 = 0
    /// Processes in a row that were taken for stuck and had never answered.
    private var mutes: UInt64 = 0
    private var isDoomed = false

    /// A program that is to be started at once.
    init(name: String, errors: ErrorPipe? = nil, program: @escaping () -> ChildProcess.Program) {
        self.name = name
        self.errors = errors
        self.program = program
        due = 0
    }

    /// One that runs already, started by this process before it became another program.
    init(_ parcel: Parcel, program: @escaping () -> ChildProcess.Program) {
        name = parcel.text("name") ?? "?"
        pid = parcel.number("pid")
        due = pid == nil ? parcel.number("due") ?? 0 : nil
        delay = parcel.number("delay") ?? Self.shortestDelay
        credit = parcel.number("credit") ?? 0
        started = parcel.number("started") ?? 0
        if let reading: Int32 = parcel.number("reading"), let writing: Int32 = parcel.number("writing") {
            errors = ErrorPipe(reading: reading, writing: writing)
        } else {
            errors = nil
        }
        self.program = program
    }

    /// What the other `init` reads.
    var packed: Parcel {
        var parcel = Parcel()
        parcel.add("name", name)
        if let pid { parcel.add("pid", pid) }
        if let due { parcel.add("due", due) }
        parcel.add("delay", delay)
        parcel.add("credit", credit)
        parcel.add("started", started)
        if let errors {
            parcel.add("reading", errors.reading)
            parcel.add("writing", errors.writing)
        }
        return parcel
    }

    /// Descriptors that are to live on with it.
    var descriptors: [Int32] { errors.map { [$0.reading, $0.writing] } ?? [] }

    /// Starts it where its time has come.
    /// - Returns: what went wrong, for the log.
    func startIfDue(now: UInt64) -> String? {
        guard let due, due <= now else { return nil }
        do throws(ChildProcess.Failure) {
            var program = program()
            program.standardError = program.standardError ?? errors?.writing
            pid = try ChildProcess.start(program)
            started = now
            isDoomed = false
            self.due = nil
            return nil
        } catch {
            return "\(error); next try in \(postpone(now)) ms"
        }
    }

    /// How a process has ended, as `waitpid` says it.
    static func end(_ status: Int32) -> String {
        let signal = status & 0x7f
        return signal == 0 ? "exited with status \(status >> 8 & 0xff)" : "was ended by signal \(signal)"
    }

    /// Takes note of its end where it is not to be started again.
    func left() {
        pid = nil
        due = nil
    }

    /// Takes note of its end.
    /// - Returns: a line for the log.
    func ended(status: Int32, now: UInt64) -> String {
        pid = nil
        let how = Self.end(status)
        let wait = restart(after: now - min(started, now), now: now)
        return "\(name) \(how); it is started again" + (wait == 0 ? "" : " in \(wait) ms")
    }

    /// Decides when it is started again.
    /// - Returns: milliseconds until then.
    func restart(after life: UInt64, now: UInt64) -> UInt64 {
        credit = min(credit + min(life, Self.provenLife), Self.price * Self.burst)
        if life >= Self.provenLife { delay = Self.shortestDelay }
        guard credit >= Self.price else { return postpone(now) }
        credit -= Self.price
        due = now
        return 0
    }

    /// Sends a signal where it runs.
    func signal(_ number: Int32) {
        if let pid { kill(pid, number) }
    }

    /// Ends it for good where what the worker saw of it means that it is stuck. One that has only just been started is
    /// left alone: it is not the one that was seen, or not ready yet; where that happens again, it gets more time.
    /// - Parameters:
    ///   - lastAnswer: when it answered last, in milliseconds on the loops' clock.
    ///   - patience: milliseconds of silence that are too many.
    /// - Returns: a line for the log; nil where it is not to blame.
    func endIfStuck(lastAnswer: UInt64, patience: UInt64, now: UInt64) -> String? {
        guard pid != nil, !isDoomed, lastAnswer <= now else { return nil }
        let isMute = lastAnswer < started
        if !isMute { mutes = 0 }
        let limit = min(patience << min(mutes, 8), max(patience, 2 * Self.longestDelay))
        guard max(lastAnswer, started) + limit <= now else { return nil }
        if isMute { mutes += 1 }
        isDoomed = true
        signal(SIGKILL)
        return "\(name) gives no answer; it is killed"
    }

    private func postpone(_ now: UInt64) -> UInt64 {
        let wait = delay
        due = now + wait
        delay = min(delay * 2, Self.longestDelay)
        return wait
    }
}
