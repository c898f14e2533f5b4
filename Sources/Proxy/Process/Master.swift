import CLinux
import Daemon
import Glibc
import Logging
import Loop
import TLS

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
    /// When the service manager's watchdog was fed last.
    var lastFed: UInt64 = 0
    /// Whether it goes without food, and the log has it.
    var isStarving = false
    /// When to listen to children again.
    private var nextReport: UInt64 = 0

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

    // MARK: Start

    /// Starts everything, goes into the background where that is wanted, and serves until a signal ends it.
    /// - Returns: the exit status.
    static func run(_ plan: Plan, _ launch: Launch) throws(Failure) -> Int32 {
        let options = plan.options
        var launch = launch
        // Ahead of everything that takes a descriptor's number, and while a terminal can still end the program.
        do throws(TLSError) {
            launch.passphrase = try KeyPassphrase.read(options)
        } catch {
            throw Failure("\(options.programName): \(error)")
        }
        launch.watchdog = Notification.watchdogTime()
        Limits.raiseOpenFiles()
        let listeners: Listening.Sockets
        do {
            let inherited = try InheritedSockets.take()
            listeners = try Listening.open(options, keeping: inherited, inherited: inherited)
            launch.inherited = inherited
        } catch let error as any CustomStringConvertible {
            // Watched for in the log, too; whoever started the program sees the rest on the terminal.
            let sink = (try? LogDestination(options.logFacility)).flatMap {
                try? LogSink($0, name: options.programName, owner: plan.identity)
            }
            sink?.write(.error, "Fatal error listening for connections.Exiting. \(error)")
            throw Failure(error.description)
        } catch {
            throw Failure("\(error)")
        }
        guard !options.staysInForeground else { return try start(plan, launch, listeners) {} }
        let background: Background
        do throws(DaemonError) {
            background = try Background.enter()
        } catch {
            throw Failure(error)
        }
        launch.isDetached = true
        // Only called once, but the compiler cannot know that.
        var waiting: Background? = consume background
        return try start(plan, launch, listeners) {
            if let background = waiting.take() { background.ready() }
        }
    }

    /// - Parameter ready: called when the program serves.
    private static func start(
        _ plan: Plan, _ launch: Launch, _ listeners: Listening.Sockets, ready: () -> Void
    ) throws(Failure) -> Int32 {
        let options = plan.options
        let sink = try openLog(plan)
        let log = sink.logger(level: LogSink.level(quiet: options.quiet, debug: options.debug))
        for note in plan.notes { log.notice("\(note)") }
        if let warning = Authenticator.warning(options, isRoot: plan.identity != nil) { log.warning("\(warning)") }
        let signals = try wrap { () throws(SignalFailure) in try watchSignals() }
        let control = try wrap { () throws(Listening.Failure) in try ControlSocket.open(options, keeping: nil) }
        let pidFile: PidFile?
        let metrics: [Int32]
        do throws(Failure) {
            metrics = try wrap { () throws(Listening.Failure) in try MetricsSocket.open(options, keeping: []) }
            pidFile = try writePidFile(plan, log)
        } catch {
            control?.remove()
            throw error
        }
        var launch = launch
        launch.ledger = Ledger()
        launch.ledger?[.started] = UInt64(clamping: time(nil))
        if !options.staysInForeground || options.debug {
            log.info("Starting perdition version=\(Version.text) protocol=\(options.protocolNames)")
        }
        if options.debug { for line in options.dumpLines { log.debug("\(line)") } }
        var attendants: [Attendant] = []
        do throws(Failure) {
            let generation = try makeGeneration(plan, launch, listeners, among: &attendants)
            generation.control = control?.listener
            generation.metrics = metrics
            generation.block = launch.ledger.map { _ in 0 }
            try startFirst(generation, options)
            // Providers start after the terminal is let go of: what they say at their start belongs into the log.
            ready()
            let master = Master(
                launch, options, identity: plan.identity, sink: sink, current: generation, attendants: attendants)
            master.pidFile = pidFile
            master.control = control
            master.metrics = metrics
            launch.ledger?[.configured] = UInt64(clamping: time(nil))
            master.sayReady(master.state)
            return master.serve(signals)
        } catch {
            control?.remove()
            pidFile?.remove()
            for attendant in attendants { attendant.socket.remove() }
            throw error
        }
    }

    /// Starts the first worker; where it does not become ready the whole start fails.
    private static func startFirst(_ generation: Generation, _ options: Options) throws(Failure) {
        generation.isFirst = true
        let fault = generation.worker.startIfDue(now: LoopThread.clock())
        generation.isFirst = false
        if let fault { throw Failure(fault) }
        let end = linux_pidfd(generation.worker.pid ?? 0)
        defer { if end >= 0 { close(end) } }
        var waits = [generation.reports.read, end].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        _ = poll(&waits, nfds_t(waits.count), Int32(clamping: startPatience))
        if generation.has(.ready) { return }
        generation.worker.signal(SIGKILL)
        var status: Int32 = 0
        if let pid = generation.worker.pid { waitpid(pid, &status, 0) }
        let signal = status & 0x7f
        // One that ended by itself has said why on the same standard error.
        guard signal != 0 else { throw .said }
        throw Failure("\(options.programName): the worker was ended by signal \(signal) before it was ready")
    }

    static func openLog(_ plan: Plan) throws(Failure) -> LogSink {
        let destination = try wrap { () throws(DaemonError) in try LogDestination(plan.options.logFacility) }
        return try wrap { () throws(DaemonError) in
            try LogSink(destination, name: plan.options.programName, owner: plan.identity)
        }
    }

    static func watchSignals() throws(SignalFailure) -> SignalDescriptor {
        try SignalDescriptor([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2, SIGPIPE, SIGWINCH])
    }

    static func writePidFile(_ plan: Plan, _ log: Logger) throws(Failure) -> PidFile? {
        guard let path = plan.options.pidFilePath else { return nil }
        let file = try wrap { () throws(DaemonError) in
            if let identity = plan.identity { return try PidFile(path, owner: identity) }
            return try PidFile(path, owner: Identity(user: "\(geteuid())", group: "\(getegid())"))
        }
        for note in file.notes { log.notice("\(note)") }
        return file
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

    var generations: [Generation] { [current] + (candidate.map { [$0.generation] } ?? []) + leaving }

    private var charges: [Charge] { generations.map(\.worker) + attendants.map(\.charge) }

    /// Waits for a signal, for something that children say, or for the next time something is due.
    private func wait(_ signals: SignalDescriptor, until deadline: UInt64? = nil) {
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

    /// Takes what children say: of stuck providers, and on standard error.
    private func listen() {
        let now = LoopThread.clock()
        guard now >= nextReport else { return }
        var hasHeard = generations.reduce(false) { $1.listen() || $0 }
        for charge in charges {
            if charge.errors?.take(from: charge.name, log: log, now: now) == true { hasHeard = true }
        }
        rehearsal?.listen()
        for generation in generations {
            guard let watch = generation.watch else { continue }
            for report in StuckReport.receive(from: watch.read) {
                hasHeard = true
                replaceStuck(report, of: generation, now: now)
            }
        }
        if launch.watchdog != nil, current.has(.alive) { feedWatchdog(now: now) }
        if hasHeard { nextReport = now + Self.reportInterval }
    }

    /// Ends a provider that gives no answer; its end is then seen as any other.
    private func replaceStuck(_ report: StuckReport, of generation: Generation, now: UInt64) {
        guard let number = Int(exactly: report.map), generation.maps.indices.contains(number),
            let attendant = generation.maps[number].attendant, attendant.endingSince == nil, ending == nil
        else { return }
        let charge = attendant.charge
        if let line = charge.endIfStuck(lastAnswer: report.lastAnswer, patience: generation.patience, now: now) {
            log.error("\(line)")
        }
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

    /// Takes note of every process that has ended.
    func reap() {
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            ended(pid, status)
        }
    }

    private func ended(_ pid: pid_t, _ status: Int32) {
        let now = LoopThread.clock()
        if let charge = charges.first(where: { $0.pid == pid }) {
            charge.errors?.drain(from: charge.name, log: log, now: now)
        }
        if rehearsal?.pid == pid {
            endRehearsal(status)
        } else if candidate?.generation.worker.pid == pid {
            candidate?.generation.worker.left()
            abandonCandidate("the new worker \(Charge.end(status))")
        } else if let generation = leaving.first(where: { $0.worker.pid == pid }) {
            left(generation, pid, status)
        } else if let attendant = attendants.first(where: { $0.charge.pid == pid && $0.endingSince != nil }) {
            attendant.charge.left()
            sweep()
        } else if drainingSince != nil, current.worker.pid == pid {
            current.worker.left()
            if status != 0 { log.error("Worker \(pid), whose sessions were waited for, \(Charge.end(status))") }
        } else if let charge = charges.first(where: { $0.pid == pid }) {
            if current.worker.pid == pid {
                launch.ledger?[.workerCrashes] += 1
            } else {
                restarts[charge.name, default: 0] += 1
            }
            let line = charge.ended(status: status, now: now)
            if ending == nil { log.error("\(line)") }
        }
    }

    // MARK: End

    /// The workers first, so that their last lookups still find a provider.
    private func endAll(_ signals: SignalDescriptor) {
        if let rehearsal { kill(rehearsal.pid, SIGKILL) }
        end(generations.map(\.worker), signals)
        end(attendants.map(\.charge), signals)
    }

    private func end(_ charges: [Charge], _ signals: SignalDescriptor) {
        for charge in charges {
            charge.signal(SIGTERM)
            // One that somebody has stopped hears of it, too.
            charge.signal(SIGCONT)
        }
        var deadline = LoopThread.clock() + Self.endPatience
        while charges.contains(where: { $0.pid != nil }) {
            if LoopThread.clock() >= deadline {
                for charge in charges { charge.signal(SIGKILL) }
                deadline += 1000
            }
            wait(signals, until: deadline)
            while let signal = signals.next() {
                // Asked twice: no more waiting.
                if signal == SIGTERM || signal == SIGINT { for charge in charges { charge.signal(SIGKILL) } }
            }
            listen()
            reap()
        }
    }

    // MARK: Places

    /// Where providers of short names are: what the option says, else libexec beside our own directory, else that.
    static func providerDirectories(_ options: Options) -> [String] {
        if let directory = options.mapProviderDir { return [directory] }
        let own = Launch.ownPath().split(separator: "/").dropLast()
        return [
            "/" + (own.dropLast() + ["libexec", "perdition"]).joined(separator: "/"), "/" + own.joined(separator: "/"),
        ]
    }

    static func wrap<Value, Fault: Error & CustomStringConvertible>(
        _ body: () throws(Fault) -> Value
    ) throws(Failure) -> Value {
        do throws(Fault) {
            return try body()
        } catch {
            throw Failure(error)
        }
    }
}
