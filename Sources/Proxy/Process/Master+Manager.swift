import Daemon
import Glibc
import Logging
import Loop

/// What the service manager hears of the master (``Notification``), and the watchdog it keeps on the program.
///
/// The watchdog is fed for the loops that serve, not for the master: when every loop of the worker has gone round once
/// more, that says so (``Worker/Report/alive``), and the master passes it on. A worker that has ended is the master's own
/// business, which it then feeds the watchdog for.
extension Master {
    /// Says that the program serves.
    func sayReady(_ note: String) {
        if launch.isDetached {
            Notification.send(.mainProcess(getpid()), .ready, .status(note))
        } else {
            Notification.send(.ready, .status(note))
        }
    }

    /// How the program does, in short.
    var state: String { "\(options.protocolNames): worker \(current.worker.pid ?? 0) serves" }

    /// When something has to be done about the watchdog; nil for never.
    var watchdogTime: UInt64? {
        guard let limit = launch.watchdog, let pulse = launch.pulse, ending == nil else { return nil }
        if current.worker.pid == nil { return lastFed + pulse }
        return isStarving ? nil : lastFed + limit / 2
    }

    /// The worker has said that all its loops go round.
    func feedWatchdog(now: UInt64) {
        Notification.send(.watchdog)
        lastFed = now
        guard isStarving else { return }
        isStarving = false
        log.notice("Worker \(current.worker.pid ?? 0): all loops go round again, the watchdog is fed")
        Notification.send(.status(state))
    }

    /// Feeds the watchdog while there is no worker, and says so where one does not come round.
    func lookAfterWatchdog(now: UInt64) {
        guard let due = watchdogTime, due <= now, let limit = launch.watchdog else { return }
        guard let pid = current.worker.pid else { return feedWatchdog(now: now) }
        isStarving = true
        let text = "worker \(pid) has a loop that has not gone round for \(now - lastFed) ms"
        log.error("Watchdog: \(text); it is not fed, and ends the program after \(limit) ms (WatchdogSec)")
        Notification.send(.status("Stuck: \(text)"))
    }
}
