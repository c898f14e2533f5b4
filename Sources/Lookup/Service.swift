import ArgumentParser
import CLinux
import Glibc
import Logging
import Loop
import Synchronization

/// The skeleton of every map provider: a backend is a `Popmap` and one call of `Service.run`.
public enum Service {
    /// Milliseconds a worker may still be busy with a lookup after SIGTERM.
    private static let grace = 5000

    /// Serves a kind of map as the options say until SIGTERM or SIGINT, or answers one `--query`.
    /// - Throws: `ExitCode`, with the outcome of a query or after the log was told why there is no service.
    public static func run<Map: Popmap>(_ kind: Map.Type, _ options: ServiceOptions) throws {
        // Before the first thread, so that all have it and only `serve` below takes signals.
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGHUP, SIGTERM, SIGINT] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        ServiceLog.start(options)
        let log = Logger(label: "lookup.service")
        let configuration: Map.Configuration
        do {
            configuration = try Map.configuration(options.takeMapOption())
        } catch {
            log.error("\(error)")
            throw ExitCode(78)
        }
        if let key = options.query {
            throw ExitCode(query(Map(configuration), key))
        }
        var listeners: [ServiceListener]
        do {
            listeners = try ServiceListener.inherited()
            if let path = options.socket {
                listeners.append(try .make(path: path, mode: UInt32(options.socketMode, radix: 8) ?? 0o600))
            }
        } catch {
            log.error("\(error)")
            throw ExitCode(78)
        }
        guard !listeners.isEmpty else {
            throw ValidationError("no socket: give --socket PATH, or a listening one with LISTEN_FDS, or --query KEY")
        }
        defer { for listener in listeners { listener.remove() } }
        do {
            let pool = try ServicePool(
                listeners, mapName: Array(options.mapName.utf8), connections: options.connections)
            try serve(kind, configuration, pool, options.workers, signals)
        } catch {
            log.error("cannot serve: \(error)")
            throw ExitCode(71)
        }
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
        _ kind: Map.Type, _ configuration: Map.Configuration, _ pool: ServicePool, _ workers: Int, _ signals: sigset_t
    ) throws(Errno) {
        let log = Logger(label: "lookup.service")
        pool.running.store(workers, ordering: .releasing)
        for _ in 0..<workers {
            try ServiceThread.start {
                var worker = ServiceWorker<Map>(pool, configuration)
                worker.run()
                pool.running.subtract(1, ordering: .releasing)
            }
        }
        log.debug("serving with \(workers) workers")
        var signals = signals
        while true {
            var signal: Int32 = 0
            guard sigwait(&signals, &signal) == 0 else { continue }
            guard signal == SIGHUP else { break }
            log.info("the map is opened anew")
            pool.reopenings.add(1, ordering: .releasing)
        }
        pool.stop()
        // A second signal, or a lookup that does not end, ends the waiting.
        var tick = timespec(tv_sec: 0, tv_nsec: 5_000_000)
        for _ in 0..<grace / 5 where pool.running.load(ordering: .acquiring) > 0 {
            let signal = sigtimedwait(&signals, nil, &tick)
            if signal == SIGTERM || signal == SIGINT { break }
        }
    }
}
