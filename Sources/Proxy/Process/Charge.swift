import Daemon
import Glibc
import Loop

/// One program the master keeps running.
final class Charge {
    /// Milliseconds before the first restart of something that dies at once; doubled up to `longestDelay`.
    static let shortestDelay: UInt64 = 100
    /// Milliseconds between two restarts at most.
    static let longestDelay: UInt64 = 30_000
    /// Milliseconds after which a program counts as having run well: its next restart is immediate.
    static let provenLife: UInt64 = 5_000

    /// What it is, for the log.
    let name: String
    /// Its process; nil while it does not run.
    private(set) var pid: pid_t?
    /// When it is to be started next; nil while it runs.
    private(set) var due: UInt64?
    private let program: () -> ChildProcess.Program
    private var delay = Charge.shortestDelay
    private var started: UInt64 = 0

    /// A program that is to be started at once.
    init(name: String, program: @escaping () -> ChildProcess.Program) {
        self.name = name
        self.program = program
        due = 0
    }

    /// Starts it where its time has come.
    /// - Returns: what went wrong, for the log.
    func startIfDue(now: UInt64) -> String? {
        guard let due, due <= now else { return nil }
        do throws(ChildProcess.Failure) {
            pid = try ChildProcess.start(program())
            started = now
            self.due = nil
            return nil
        } catch {
            return "\(error); next try in \(postpone(now)) ms"
        }
    }

    /// Takes note of its end.
    /// - Returns: a line for the log.
    func ended(status: Int32, now: UInt64) -> String {
        pid = nil
        let signal = status & 0x7f
        let how = signal == 0 ? "exited with status \(status >> 8 & 0xff)" : "was ended by signal \(signal)"
        if now - min(started, now) >= Self.provenLife {
            delay = Self.shortestDelay
            due = now
            return "\(name) \(how); it is started again"
        }
        return "\(name) \(how); it is started again in \(postpone(now)) ms"
    }

    /// Sends a signal where it runs.
    func signal(_ number: Int32) {
        if let pid { kill(pid, number) }
    }

    private func postpone(_ now: UInt64) -> UInt64 {
        let wait = delay
        due = now + wait
        delay = min(delay * 2, Self.longestDelay)
        return wait
    }
}
