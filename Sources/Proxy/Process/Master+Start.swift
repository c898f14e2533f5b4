import CLinux
import Daemon
import Glibc
import Logging
import Loop
import TLS

/// From the options to a worker that serves.
extension Master {
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
