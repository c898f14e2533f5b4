import Daemon
import Glibc
import Logging
import Loop

/// The process that holds the sockets: it starts workers, providers and the helper, keeps them running, replaces them at
/// a reload, and parses nothing that came from the network.
final class Master {
    /// Milliseconds a worker gets to become ready.
    static let startPatience: UInt64 = 30_000
    /// Milliseconds its processes get to end before they are killed.
    static let endPatience: UInt64 = 10_000
    /// Milliseconds between two looks at what workers say.
    static let reportInterval: UInt64 = 20

    let launch: Launch
    /// What is in force.
    var options: Options
    var identity: Identity?
    var sink: LogSink
    var log: Logger
    /// Who serves.
    var current: Generation
    /// Who is to serve next, as soon as its worker is ready.
    var candidate: Candidate?
    /// What is to be said when the worker of before accepts nobody any more, at the latest when its time has come.
    var announcement: (line: String, old: Generation, deadline: UInt64)?
    /// Those whose sessions go on.
    var leaving: [Generation] = []
    var attendants: [Attendant] = []
    /// The process that finds out whether a reload can be.
    var rehearsal: Rehearsal?
    /// Whether a reload was asked for that has not begun.
    var isReloadDue = false
    var pidFile: PidFile?
    /// Where `perditionctl` asks.
    var control: ControlSocket?
    /// Where metrics are served.
    var metrics: [Int32] = []
    /// How often each of the attendants was started again.
    var restarts: [String: UInt64] = [:]
    /// When nobody was accepted any more, as the program is to end with its last session; nil while it goes on.
    var drainingSince: UInt64?
    /// The signal that ends the program; nil until there is one.
    var ending: Int32?
    /// Whether the processes are being ended, be it for that signal or because the last session is over.
    var endsAll = false
    /// When the service manager's watchdog was fed last.
    var lastFed: UInt64 = 0
    /// Whether it goes without food, and the log has it.
    var isStarving = false
    /// When to listen to children again.
    var nextReport: UInt64 = 0

    /// Why the program does not start: a sentence that names the option, and the exit status.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        /// Another process, or the log, has it already: nothing is left to print.
        static let said = Failure("")

        init(_ error: some CustomStringConvertible) {
            description = error.description
        }
    }

    init(
        _ launch: Launch, _ options: Options, identity: Identity?, sink: LogSink, current: Generation,
        attendants: [Attendant]
    ) {
        self.launch = launch
        self.options = options
        self.identity = identity
        self.sink = sink
        self.current = current
        self.attendants = attendants
        log = sink.logger(level: LogSink.level(quiet: options.quiet, debug: options.debug))
    }

    // MARK: Supervision

    /// Keeps everything running until a signal ends it.
    /// - Returns: the exit status.
    func serve(_ signals: SignalDescriptor) -> Int32 {
        defer {
            control?.remove()
            pidFile?.remove()
            for attendant in attendants { attendant.socket.remove() }
        }
        lastFed = LoopThread.clock()
        while ending == nil, !isDrained {
            let now = LoopThread.clock()
            for charge in attendants.filter({ $0.endingSince == nil }).map(\.charge) + [current.worker] {
                if let fault = charge.startIfDue(now: now) { log.error("\(fault)") }
            }
            keepBooks()
            if isReloadDue { beginReload() }
            wait(signals)
            while let signal = signals.next() { handle(signal) }
            listen()
            lookAtCandidate()
            fulfilWishes()
            announce()
            endOverdue(now: LoopThread.clock())
            lookAfterWatchdog(now: LoopThread.clock())
        }
        Notification.send(.stopping, .status(ending.map { "Ending on signal \($0)" } ?? "The last session has ended"))
        endAll(signals)
        log.info(ending.map { "Exiting on signal \($0)" } ?? "Exiting: the last session has ended")
        return 0
    }

    /// Workers of now, of what comes and of before, each with what belongs to it.
    var generations: [Generation] { [current] + (candidate.map { [$0.generation] } ?? []) + leaving }

    /// Every process that is kept.
    var charges: [Charge] { generations.map(\.worker) + attendants.map(\.charge) }

    /// Waits for a signal, for something that children say, or for the next time something is due.
    func wait(_ signals: SignalDescriptor, until deadline: UInt64? = nil) {
        let now = LoopThread.clock()
        let reporting = [candidate?.generation, announcement?.old].compactMap(\.self)
        var readers = [signals.descriptor] + reporting.map(\.reports.read)
        var times = [deadline, candidate?.deadline, announcement?.deadline, rehearsal?.deadline].compactMap(\.self)
        if ending == nil {
            times += (attendants.filter { $0.endingSince == nil }.map(\.charge) + [current.worker]).compactMap(\.due)
        }
        times += overdueTimes + [watchdogTime].compactMap(\.self)
        // A worker that somebody else has taken over may write without end.
        if nextReport > now {
            times.append(nextReport)
        } else {
            readers += generations.map(\.reports.read) + generations.compactMap(\.watch?.read)
            readers += charges.compactMap(\.errors?.reading)
            if let rehearsal { readers.append(rehearsal.output) }
        }
        var waits = readers.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        _ = poll(&waits, nfds_t(waits.count), times.min().map { Int32(clamping: $0 > now ? $0 - now : 0) } ?? -1)
    }

    func handle(_ signal: Int32) {
        switch signal {
        case SIGTERM, SIGINT, SIGQUIT: ending = signal
        case SIGHUP:
            reopenLog()
            // Whatever becomes of the reload: logs are moved, popmaps written anew.
            for charge in charges { charge.signal(SIGHUP) }
            isReloadDue = true
        case SIGCHLD: reap()
        default: break
        }
    }

    private func reopenLog() {
        do throws(DaemonError) {
            try sink.reopen()
            log.info("Reopened logger")
        } catch {
            log.error("\(error)")
        }
    }
}
