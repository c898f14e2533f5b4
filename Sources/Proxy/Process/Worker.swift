import CLinux
import Daemon
import Glibc
import Logging
import Loop
import Synchronization
import TLS

/// The process that talks to the network: the same program run again with the sockets inherited, without root's rights
/// before it accepts the first connection.
final class Worker {
    /// The environment variable that makes a process a worker.
    static let roleVariable = "PERDITION_WORKER"
    /// The signal by which the master says that another worker accepts now.
    static let leave = SIGUSR2

    private let services: Services
    private let sink: LogSink
    private let loops: [Loop]
    private let signals: SignalDescriptor
    private let listeners: [Int32]
    /// Which of the options' listeners each of them belongs to.
    private let places: [Int]
    private let desk: Orders.Desk
    private let ledger: Ledger?
    /// Where the master hears of us.
    private let reports: Int32?
    /// Milliseconds between two reports that we are alive.
    private let pulse: UInt64?

    /// Serves until the master says stop.
    /// - Returns: the exit status.
    static func run(_ options: Options, _ orders: Orders, brief: Brief) throws(Master.Failure) -> Int32 {
        let worker: Worker
        // Started from the master's own image, whatever has become of its file; `ps` would call it exe.
        nameThread("perdition")
        linux_crash_prepare(Version.text)
        if !orders.isFirst, let errors = orders.errors { dup2(errors, STDERR_FILENO) }
        do throws(Master.Failure) {
            worker = try Worker(options, orders, brief)
        } catch {
            // Watched for in the log; at the start, whoever started the program reads standard error as well.
            let sink = (try? LogDestination(options.logFacility)).flatMap {
                try? LogSink($0, name: options.programName)
            }
            sink?.write(.error, error.description)
            throw orders.isFirst ? Master.Failure("\(options.programName): \(error)") : .said
        }
        for listener in worker.listeners {
            setNoDelay(listener)
            limitUnsent(listener, bytes: Listening.unsent)
            setKeepalive(listener, to: options.tcpKeepalive)
        }
        worker.start()
        if orders.detached { Background.releaseTerminal() }
        if let errors = orders.errors {
            dup2(errors, STDERR_FILENO)
            close(errors)
        }
        if let passphrase = orders.passphrase { close(passphrase) }
        Self.report(.ready, to: orders.report)
        worker.loops[0].thread.run()
        return 0
    }

    private init(_ options: Options, _ orders: Orders, _ brief: Brief) throws(Master.Failure) {
        let tls: TLSContexts
        let descriptors: Int
        let master = getppid()
        let wasRoot = geteuid() == 0
        listeners = orders.sockets
        places = orders.places
        reports = orders.report
        desk = orders.desk
        ledger = orders.desk.ledger.flatMap { Ledger(descriptor: $0) }
        pulse = brief.pulse
        do {
            signals = try SignalDescriptor([
                SIGTERM, SIGINT, SIGQUIT, SIGHUP, Self.leave, SIGUSR1, SIGPIPE, SIGWINCH,
            ])
            let limit = Limits.raiseOpenFiles()
            Limits.makeTable(for: limit)
            descriptors = Int(limit)
            let identity = geteuid() == 0 ? try Identity(user: options.username, group: options.group) : nil
            sink = try LogSink(try LogDestination(options.logFacility), name: options.programName, owner: identity)
            tls = try TLSContexts(options, passphrase: orders.passphrase, tickets: brief.tickets)
            Privileges.enterEmptyDirectory()
            if let identity { try Privileges.drop(to: identity) }
            try Privileges.confine()
            // The change of user has cleared it: without its master a worker is nobody's.
            _ = linux_prctl(Int32(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
            guard getppid() == master else { throw Master.Failure.said }
            let count = options.threads > 0 ? options.threads : max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
            var loops: [Loop] = []
            for number in 0..<count {
                loops.append(Loop(try LoopThread(number: number, usesRing: !options.noIoUring)))
            }
            self.loops = loops
        } catch let error as any CustomStringConvertible {
            throw Master.Failure(error.description)
        } catch {
            throw Master.Failure("\(error)")
        }
        let log = sink.logger(level: LogSink.level(quiet: options.quiet, debug: options.debug))
        for warning in (tls.listen?.warnings ?? []) + (tls.outgoing?.warnings ?? []) { log.warning("\(warning)") }
        let capacity = Capacity(
            descriptors: descriptors, loops: loops.count, maps: orders.mapSockets.count,
            resolvers: options.resolverThreads)
        if tls.listen != nil, wasRoot, getuid() != 0, access(options.sslKeyFile, R_OK) == 0 {
            log.warning(
                """
                --ssl_key_file \(options.sslKeyFile): the worker's user (--username \(options.username)) can read it; make \
                it readable for root alone (chmod 600)
                """)
        }
        log.info("Open files: \(descriptors), enough for \(capacity.sessions) sessions")
        services = Services(
            options: options, log: log, tls: tls, nodeName: Self.nodeName(),
            maps: MapService.all(options, sockets: orders.mapSockets, watch: orders.watch, log: log),
            authSocket: orders.authSocket, capacity: capacity, sink: sink)
    }

    private func start() {
        let services = services
        let doors = zip(listeners, places.map { services.listeners[min($0, services.listeners.count - 1)] })
            .map { (socket: $0, settings: $1) }
        let (loops, desk, ledger, reports) = (loops, desk, ledger, reports)
        ledger?.set(rows: loops.count, of: desk.block)
        for loop in loops {
            loop.start { loop in
                LogSink.batchOnThisThread()
                loop.thread.beforeSleep = { LogSink.flush() }
                let number = loop.thread.number
                let floor = Floor(
                    loop, services: services,
                    tally: ledger?.tally(block: desk.block, row: number) ?? .unread())
                loop.thread.tenant = floor
                floor.accept(from: doors)
                guard number == 0 else { return }
                if !services.options.noIoUring, !loop.thread.hasRing {
                    services.log.info(
                        """
                        io_uring is not to be had (kernel.io_uring_disabled, a container's rules, Linux before 6.1): \
                        epoll serves, and takes more CPU for a login
                        """)
                }
                floor.desk = ControlDesk(loop, loops, services, desk, ledger: ledger, reports: reports)
                floor.desk?.open()
                guard let ledger, !desk.metrics.isEmpty else { return }
                floor.metrics = MetricsDesk(loop, services, ledger, listeners: desk.metrics)
            }
        }
        watchSignals()
        beat()
        for loop in loops.dropFirst() {
            do throws(Errno) {
                try loop.thread.start(name: "loop \(loop.thread.number)")
            } catch {
                services.log.critical("Loop \(loop.thread.number) does not start: \(error)")
            }
        }
    }

    private func watchSignals() {
        let signals = signals
        let sink = sink
        let services = services
        let loops = loops
        let listeners = listeners
        let reports = reports
        loops[0].start { loop in
            guard let channel = try? Channel(signals.descriptor, on: loop.thread) else { return }
            while await channel.waitReadable(within: nil) == .ready {
                while let signal = signals.next() {
                    switch signal {
                    case SIGTERM, SIGINT, SIGQUIT:
                        await Self.end(loops)
                        return
                    case SIGHUP:
                        for map in services.maps { map.purge() }
                        do throws(DaemonError) { try sink.reopen() } catch { services.log.error("\(error)") }
                    case Self.leave:
                        await Self.closeDoors(loops, listeners)
                        Self.report(.closed, to: reports)
                    default: break
                    }
                }
                channel.wouldBlockReading()
            }
        }
    }

    /// Reports, each time when every loop has gone round, that this process is alive.
    private func beat() {
        guard let pulse, let reports else { return }
        let loops = loops
        loops[0].start { loop in
            while true {
                await loop.thread.sleep(pulse)
                for loop in loops { await loop.finish { _ in } }
                Self.report(.alive, to: reports)
            }
        }
    }

    /// Accepts nobody any more, and ends with the last session.
    private static func closeDoors(_ loops: [Loop], _ listeners: [Int32]) async {
        for loop in loops {
            await loop.finish { loop in (loop.thread.tenant as? Floor)?.closeDoors() }
        }
        for listener in listeners { close(listener) }
        for loop in loops {
            await loop.finish { loop in
                (loop.thread.tenant as? Floor)?.leave { loops[0].start { _ in await end(loops) } }
            }
        }
    }

    static func report(_ report: Report, to descriptor: Int32?) {
        guard let descriptor else { return }
        var byte = report.rawValue
        _ = write(descriptor, &byte, 1)
    }

    /// Ends every session on every loop, then the loops themselves; the first, which carries the main thread, last.
    private static func end(_ loops: [Loop]) async {
        for loop in loops {
            await loop.finish { loop in (loop.thread.tenant as? Floor)?.stop() }
        }
        // Once around, so that those who waited for their clients get to write their last line.
        await Task.yield()
        for loop in loops { await loop.finish { _ in } }
        for loop in loops.reversed() { loop.thread.stop() }
    }

    static func nodeName() -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 257) { room in
            guard let text = room.baseAddress, gethostname(text, room.count - 1) == 0 else { return "localhost" }
            room[room.count - 1] = 0
            return String(cString: text)
        }
    }
}
