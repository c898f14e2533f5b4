import ArgumentParser
import CLinux
import Daemon
import Glibc
import Logging
import Lookup
import Loop
import Synchronization

/// The skeleton of every map provider: a backend is a `Popmap` and one call of `Service.run`.
public enum Service {
    /// Milliseconds a worker may still be busy with a lookup after SIGTERM.
    private static let grace = 5000

    /// Serves a kind of map as the options say until SIGTERM or SIGINT, or answers one `--query`.
    /// - Throws: `ExitCode`, with the outcome of a query or after the log was told why there is no service.
    public static func run<Map: Popmap>(_ kind: Map.Type, _ options: ServiceOptions) throws {
        linux_crash_prepare("")
        Privileges.hideMemory()
        // Before the first thread, so that all have it and only `serve` below takes signals.
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGHUP, SIGTERM, SIGINT] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        let mapOption = options.takeMapOption()
        let sink = try startLog(options)
        do throws(DaemonError) {
            // Who starts a provider as root means it to read root's files.
            if geteuid() != 0 { try Privileges.confine() }
        } catch {
            throw refusal(error.description, sink)
        }
        let configuration: Map.Configuration
        let patience = Int(options.lookupTimeout * 1000)
        do {
            configuration = try Map.configuration(mapOption, patience: patience)
        } catch {
            throw refusal(error.description, sink)
        }
        if let key = options.query {
            throw ExitCode(query(Map(configuration), key))
        }
        var listeners: [ServiceListener]
        do throws(ServiceListener.Failure) {
            listeners = try ServiceListener.inherited()
            if let path = options.socket.map(ServiceDirectory.absolute) {
                listeners.append(try .make(path: path, mode: UInt32(options.socketMode, radix: 8) ?? 0o600))
            }
        } catch {
            throw refusal(error.description, sink)
        }
        guard !listeners.isEmpty else {
            throw ValidationError("no socket: give --socket PATH, or a listening one with LISTEN_FDS, or --query KEY")
        }
        defer { for listener in listeners { listener.remove() } }
        Privileges.enterEmptyDirectory()
        do {
            let pool = try ServicePool(
                listeners, mapName: Array(options.mapName.utf8), connections: options.connections)
            try serve(kind, configuration, patience, pool, options.workers, signals, sink)
        } catch {
            throw refusal("cannot serve: \(error)", sink)
        }
    }

    /// Opens the log; a file that cannot be written is no reason to leave the mail users without their map.
    private static func startLog(_ options: ServiceOptions) throws -> LogSink {
        let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "perdition-map"
        var sink: LogSink
        do {
            let wanted = options.query == nil ? options.logFacility : "+"
            sink = try LogSink(LogDestination(wanted), name: name)
        } catch {
            sink = try LogSink(.standardError, name: name)
            sink.write(.error, "\(error)")
        }
        let level = LogSink.level(quiet: false, debug: options.debug)
        LoggingSystem.bootstrap { [sink] _ in LineLogHandler(sink: sink, logLevel: level) }
        return sink
    }

    /// Says, on the terminal and in the log, why there is no service.
    private static func refusal(_ reason: String, _ sink: LogSink) -> ExitCode {
        if sink.destination != .standardError {
            let line = Array("\(reason)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
        }
        sink.write(.error, reason)
        return ExitCode(78)
    }

    private static func query<Map: Popmap>(_ map: consuming Map, _ key: String) -> Int32 {
        var map = map
        let answer = map.lookup(Array(key.utf8))
        var output = Int32(STDERR_FILENO)
        var text: [UInt8]
        let status: Int32
        switch answer {
        case .found(let value):
            (output, text, status) = (Int32(STDOUT_FILENO), value, 0)
        case .notFound: return 1
        case .temporary(let reason): (text, status) = (Array(reason.utf8), 75)
        case .permanent(let reason): (text, status) = (Array(reason.utf8), 78)
        }
        text.append(UInt8(ascii: "\n"))
        return text.withUnsafeBytes { write(output, $0.baseAddress, $0.count) } == text.count ? status : 74
    }

    private static func serve<Map: Popmap>(
        _ kind: Map.Type, _ configuration: Map.Configuration, _ patience: Int, _ pool: ServicePool, _ workers: Int,
        _ signals: sigset_t, _ sink: LogSink
    ) throws(Errno) {
        let log = Logger(label: "lookup.service")
        pool.running.store(workers, ordering: .releasing)
        for _ in 0..<workers {
            try startThread(name: "lookup") {
                var worker = ServiceWorker<Map>(pool, configuration, patience: patience)
                worker.run()
                pool.running.subtract(1, ordering: .releasing)
            }
        }
        log.debug("serving with \(workers) workers")
        Notification.send(.ready, .status("Serving with \(workers) workers"))
        var signals = signals
        while true {
            var signal: Int32 = 0
            guard sigwait(&signals, &signal) == 0 else { continue }
            guard signal == SIGHUP else { break }
            do {
                try sink.reopen()
            } catch {
                log.error("\(error)")
            }
            Notification.send(.reloading)
            log.info("the map is opened anew")
            // First, or a copy that is new already would be taken for the old one.
            Map.withdrawTable(configuration)
            pool.reopenings.add(1, ordering: .releasing)
            Notification.send(.ready)
        }
        Notification.send(.stopping)
        pool.stop()
        // A second signal, or a lookup that does not end, ends the waiting.
        var tick = timespec(tv_sec: 0, tv_nsec: 5_000_000)
        for _ in 0..<grace / 5 where pool.running.load(ordering: .acquiring) > 0 {
            let signal = sigtimedwait(&signals, nil, &tick)
            if signal == SIGTERM || signal == SIGINT { break }
        }
    }
}
