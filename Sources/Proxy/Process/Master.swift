import CLinux
import Daemon
import Glibc
import Logging
import Loop
import TLS

/// The process that holds the sockets: it starts worker and provider, keeps them running, and parses nothing that came
/// from the network.
final class Master {
    /// Milliseconds the worker gets to become ready at the start.
    static let startPatience: Int32 = 30_000
    /// Milliseconds worker and provider get to end before they are killed.
    static let endPatience: UInt64 = 10_000
    /// Milliseconds between two looks at what the worker says of providers.
    static let reportInterval: UInt64 = 20

    private let options: Options
    private let arguments: [String]
    private let executable: String
    private let directory: String
    private let identity: Identity?
    private let log: Logger
    private let sink: LogSink
    private var listeners: [Int32] = []
    private var sockets: [ServiceSocket] = []
    private var charges: [Charge] = []
    /// The providers that are ours, by their place in `--map_library`.
    private var providers: [Int: Charge] = [:]
    /// Where the worker says that a provider is stuck; none where none is ours.
    private var watch: (read: Int32, write: Int32)?
    /// When to listen there again.
    private var nextReport: UInt64 = 0
    private var pidFile: PidFile?
    private var readyPipe: (read: Int32, write: Int32)?
    private var passphrase: Passphrase?
    private var ending: Int32?

    /// Why the program does not start: a sentence that names the option, and the exit status.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        /// Another process, or the log, has it already: nothing is left to print.
        static let said = Failure("")

        init(_ error: some CustomStringConvertible) {
            description = error.description
        }
    }

    private init(
        _ options: Options, arguments: [String], directory: String, identity: Identity?, sink: LogSink
    ) {
        self.options = options
        self.arguments = arguments
        self.directory = directory
        self.identity = identity
        self.sink = sink
        log = sink.logger(level: LogSink.level(quiet: options.quiet, debug: options.debug))
        executable = Self.ownPath()
    }

    /// Starts everything, goes into the background where that is wanted, and serves until a signal ends it.
    /// - Returns: the exit status.
    static func run(_ options: Options, notes: [String], arguments: [String], directory: String) throws(Failure)
        -> Int32
    {
        let identity = try wrap { () throws(DaemonError) in
            geteuid() == 0 ? try Identity(user: options.username, group: options.group) : nil
        }
        let maps = try wrap { () throws(MapList.Failure) in try MapList(options) }
        var providers: [(MapProvider, options: String)] = []
        for map in maps.entries {
            let provider = try wrap { () throws(MapProvider.Failure) in
                try MapProvider.choose(map.library, directories: providerDirectories(options))
            }
            providers.append((provider, map.options))
        }
        let authenticator = try wrap { () throws(Authenticator.Failure) in
            try Authenticator.find(options, directories: providerDirectories(options))
        }
        // Ahead of everything that takes a descriptor's number, and while a terminal can still end the program.
        let passphrase: Passphrase?
        do throws(TLSError) {
            passphrase = try KeyPassphrase.read(options)
        } catch {
            throw Failure("\(options.programName): \(error)")
        }
        Limits.raiseOpenFiles()
        let listeners: [Int32]
        do throws(Listening.Failure) {
            listeners = try Listening.open(options)
        } catch {
            // Watched for in the log, too; whoever started the program sees the rest on the terminal.
            let sink = (try? LogDestination(options.logFacility)).flatMap {
                try? LogSink($0, name: options.programName, owner: identity)
            }
            sink?.write(.error, "Fatal error listening for connections.Exiting. \(error)")
            throw Failure(error)
        }
        guard !options.staysInForeground else {
            return try make(options, notes, arguments, directory, identity, listeners, passphrase)
                .serve(providers, authenticator) {}
        }
        let background: Background
        do throws(DaemonError) {
            background = try Background.enter()
        } catch {
            throw Failure(error)
        }
        // Only called once, but the compiler cannot know that.
        var waiting: Background? = consume background
        return try make(options, notes, arguments, directory, identity, listeners, passphrase).serve(
            providers, authenticator
        ) {
            if let background = waiting.take() { background.ready() }
        }
    }

    private static func make(
        _ options: Options, _ notes: [String], _ arguments: [String], _ directory: String, _ identity: Identity?,
        _ listeners: [Int32], _ passphrase: Passphrase?
    ) throws(Failure) -> Master {
        let destination = try wrap { () throws(DaemonError) in try LogDestination(options.logFacility) }
        let sink = try wrap { () throws(DaemonError) in
            try LogSink(destination, name: options.programName, owner: identity)
        }
        let master = Master(options, arguments: arguments, directory: directory, identity: identity, sink: sink)
        master.listeners = listeners
        master.passphrase = passphrase
        for note in notes { master.log.notice("\(note)") }
        if let warning = Authenticator.warning(options, isRoot: identity != nil) { master.log.warning("\(warning)") }
        return master
    }

    /// - Parameter ready: called when the program serves.
    private func serve(
        _ providers: [(MapProvider, options: String)], _ authenticator: String?, ready: () -> Void
    ) throws(Failure) -> Int32 {
        let signals = try Self.wrap { () throws(SignalFailure) in
            try SignalDescriptor([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2, SIGPIPE, SIGWINCH])
        }
        defer { cleanUp() }
        if let path = options.pidFilePath {
            let file = try Self.wrap { () throws(DaemonError) in
                if let identity { return try PidFile(path, owner: identity) }
                return try PidFile(path, owner: Identity(user: "\(geteuid())", group: "\(getegid())"))
            }
            for note in file.notes { log.notice("\(note)") }
            pidFile = file
        }
        if !options.staysInForeground || options.debug {
            log.info("Starting perdition version=\(Version.text) protocol=\(options.protocolName.logName)")
        }
        if options.debug { for line in options.dumpLines { log.debug("\(line)") } }
        let mapSockets = try prepare(providers)
        let authSocket = try prepare(authenticator)
        try startWorker(mapSockets: mapSockets, authSocket: authSocket)
        // Providers start after the terminal is let go of: what they say at their start belongs into the log.
        ready()
        supervise(signals)
        endAll(signals)
        log.info("Exiting on signal \(ending ?? 0)")
        return 0
    }

    private func cleanUp() {
        pidFile?.remove()
        for socket in sockets { socket.remove() }
    }

    // MARK: Start

    /// Makes the sockets of the providers that are ours to start.
    /// - Returns: the paths lookups go to, one for each map.
    private func prepare(_ maps: [(MapProvider, options: String)]) throws(Failure) -> [String] {
        var paths: [String] = []
        for (number, (provider, mapOptions)) in maps.enumerated() {
            switch provider {
            case .running(let socket): paths.append(socket)
            case .program(let path):
                let socket = try makeSocket("popmap")
                let file = path.split(separator: "/").last.map(String.init) ?? path
                let name = maps.count > 1 ? "\(file) (map \(number + 1))" : file
                let charge = Charge(name: name) { [unowned self] in
                    socket.provider(path, options, mapOptions: mapOptions, directory: directory, identity: identity)
                }
                charges.append(charge)
                providers[number] = charge
                paths.append(socket.path)
            }
        }
        guard !providers.isEmpty else { return paths }
        var pipe: [Int32] = [-1, -1]
        guard linux_pipe(&pipe) == 0 else { throw Failure("pipe: \(Errno.last)") }
        // Neither side waits for the other.
        for end in pipe { _ = linux_fcntl(end, F_SETFL, linux_fcntl(end, F_GETFL, 0) | O_NONBLOCK) }
        watch = (pipe[0], pipe[1])
        return paths
    }

    /// Makes the socket of the helper that authenticates.
    /// - Returns: the path it is asked on; nil where there is none.
    private func prepare(_ authenticator: String?) throws(Failure) -> String? {
        guard let authenticator else { return nil }
        let socket = try makeSocket("authentication")
        charges.append(
            Charge(name: Authenticator.name) { [unowned self] in socket.authenticator(authenticator, options) })
        return socket.path
    }

    private func makeSocket(_ name: String) throws(Failure) -> ServiceSocket {
        let base = geteuid() == 0 ? "/run/perdition" : "/tmp"
        if geteuid() == 0 { mkdir(base, 0o755) }
        let socket = try Self.wrap { () throws(ServiceSocket.Failure) in
            try ServiceSocket(name, in: base, owner: identity)
        }
        sockets.append(socket)
        return socket
    }

    /// Starts the worker for the first time; where it does not become ready the whole start fails.
    private func startWorker(mapSockets: [String], authSocket: String?) throws(Failure) {
        let worker = Charge(name: "worker") { [unowned self] in
            var orders = Worker.Orders(listeners: listeners.count)
            orders.mapSockets = mapSockets
            orders.authSocket = authSocket
            orders.reports = readyPipe != nil
            orders.detached = !options.staysInForeground
            var program = ChildProcess.Program(path: executable, arguments: arguments)
            program.descriptors = listeners + (readyPipe.map { [$0.write] } ?? [])
            if let passphrase, let source = KeyPassphrase.descriptor(passphrase) {
                orders.hasPassphrase = true
                program.descriptors.append(source)
                program.closesAfterStart = [source]
            }
            if let watch {
                orders.watchesMaps = true
                program.descriptors.append(watch.write)
            }
            program.environment =
                ChildProcess.environment(without: ["LISTEN_PID", "LISTEN_FDS"]) + orders.environment
            program.directory = directory
            return program
        }
        charges.append(worker)
        var pipe: [Int32] = [-1, -1]
        guard linux_pipe(&pipe) == 0 else { throw Failure("pipe: \(Errno.last)") }
        readyPipe = (pipe[0], pipe[1])
        let fault = worker.startIfDue(now: LoopThread.clock())
        close(pipe[1])
        readyPipe = nil
        defer { close(pipe[0]) }
        if let fault { throw Failure(fault) }
        var wait = pollfd(fd: pipe[0], events: Int16(POLLIN), revents: 0)
        _ = poll(&wait, 1, Self.startPatience)
        var byte: UInt8 = 0
        if read(pipe[0], &byte, 1) == 1 { return }
        worker.signal(SIGKILL)
        var status: Int32 = 0
        if let pid = worker.pid { waitpid(pid, &status, 0) }
        let signal = status & 0x7f
        // One that ended by itself has said why on the same standard error.
        guard signal != 0 else { throw .said }
        throw Failure("\(options.programName): the worker was ended by signal \(signal) before it was ready")
    }

    // MARK: Supervision

    private func supervise(_ signals: SignalDescriptor) {
        while ending == nil {
            let now = LoopThread.clock()
            for charge in charges {
                if let fault = charge.startIfDue(now: now) { log.error("\(fault)") }
            }
            waitForSignal(signals, milliseconds: charges.compactMap { $0.due }.min().map { $0 > now ? $0 - now : 0 })
            while let signal = signals.next() { handle(signal) }
            replaceStuck()
        }
    }

    /// Waits for a signal, or for word of a stuck provider.
    private func waitForSignal(_ signals: SignalDescriptor, milliseconds: UInt64?) {
        // A worker that somebody else has taken over may write without end: a negative descriptor is not looked at.
        let pause = nextReport > LoopThread.clock() ? nextReport - LoopThread.clock() : 0
        var wait = [
            pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: pause > 0 ? -1 : watch?.read ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        let limit = [milliseconds, pause > 0 ? pause : nil].compactMap(\.self).min()
        _ = poll(&wait, 2, limit.map { Int32(clamping: $0) } ?? -1)
    }

    /// Ends providers that give no answer; their end is then seen as any other.
    private func replaceStuck() {
        let now = LoopThread.clock()
        guard let watch, now >= nextReport else { return }
        let reports = StuckReport.receive(from: watch.read)
        guard !reports.isEmpty else { return }
        nextReport = now + Self.reportInterval
        for report in reports {
            guard let number = Int(exactly: report.map), let charge = providers[number] else { continue }
            let patience = MapService.patience(options)
            if let line = charge.endIfStuck(lastAnswer: report.lastAnswer, patience: patience, now: now) {
                log.error("\(line)")
            }
        }
    }

    private func handle(_ signal: Int32) {
        switch signal {
        case SIGTERM, SIGINT, SIGQUIT: ending = signal
        case SIGHUP:
            reopenLog()
            for charge in charges { charge.signal(SIGHUP) }
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

    private func reap() {
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            guard let charge = charges.first(where: { $0.pid == pid }) else { continue }
            let line = charge.ended(status: status, now: LoopThread.clock())
            if ending == nil { log.error("\(line)") }
        }
    }

    /// The worker first, so that its last lookups still find a provider.
    private func endAll(_ signals: SignalDescriptor) {
        nextReport = .max
        for charge in charges.reversed() {
            charge.signal(SIGTERM)
            // One that somebody has stopped hears of it, too.
            charge.signal(SIGCONT)
            let deadline = LoopThread.clock() + Self.endPatience
            while charge.pid != nil {
                let now = LoopThread.clock()
                if now >= deadline { charge.signal(SIGKILL) }
                waitForSignal(signals, milliseconds: now >= deadline ? 1000 : deadline - now)
                while let signal = signals.next() {
                    // Asked twice: no more waiting.
                    if signal == SIGTERM || signal == SIGINT { charge.signal(SIGKILL) }
                }
                reap()
            }
        }
    }

    // MARK: Places

    /// The file we run from, found before an upgrade can replace it.
    private static func ownPath() -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4097) { room in
            guard let text = room.baseAddress else { return "/proc/self/exe" }
            let count = readlink("/proc/self/exe", text, room.count - 1)
            guard count > 0 else { return "/proc/self/exe" }
            room[count] = 0
            return String(cString: text)
        }
    }

    /// Where providers of short names are: what the option says, else libexec beside our own directory, else that.
    static func providerDirectories(_ options: Options) -> [String] {
        if let directory = options.mapProviderDir { return [directory] }
        let own = ownPath().split(separator: "/").dropLast()
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
