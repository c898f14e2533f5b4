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
        let provider = try wrap { () throws(MapProvider.Failure) in
            try MapProvider.choose(options.mapLibrary, directories: providerDirectories(options))
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
                .serve(provider, authenticator) {}
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
            provider, authenticator
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
        _ provider: MapProvider, _ authenticator: String?, ready: () -> Void
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
        let mapSocket = try prepare(provider)
        let authSocket = try prepare(authenticator)
        try startWorker(mapSocket: mapSocket, authSocket: authSocket)
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

    /// Makes the socket of a provider that is ours to start.
    /// - Returns: the path lookups go to.
    private func prepare(_ provider: MapProvider) throws(Failure) -> String? {
        switch provider {
        case .none: return nil
        case .running(let socket): return socket
        case .program(let path):
            let socket = try makeSocket("popmap")
            charges.append(
                Charge(name: path.split(separator: "/").last.map(String.init) ?? path) { [unowned self] in
                    socket.provider(path, options, directory: directory, identity: identity)
                })
            return socket.path
        }
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
    private func startWorker(mapSocket: String?, authSocket: String?) throws(Failure) {
        let worker = Charge(name: "worker") { [unowned self] in
            var orders = Worker.Orders(listeners: listeners.count)
            orders.mapSocket = mapSocket
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
        }
    }

    private func waitForSignal(_ signals: SignalDescriptor, milliseconds: UInt64?) {
        var wait = pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&wait, 1, milliseconds.map { Int32(clamping: $0) } ?? -1)
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
        for charge in charges.reversed() {
            charge.signal(SIGTERM)
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
