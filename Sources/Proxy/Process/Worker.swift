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

    /// For the allocator (tunables of the GNU C library). Its caches are made for seven objects of a size; a loop frees
    /// those of dozens of logins in one turn, and takes them again in the next.
    private static let allocator = "GLIBC_TUNABLES=glibc.malloc.tcache_count=64"

    /// What the master tells a worker beside the command line. Descriptors stand in the order of the members, from 3 on.
    struct Orders: Equatable {
        /// How many listening sockets there are.
        var listeners: Int
        /// Whether a descriptor wants to hear that the worker is ready.
        var reports = false
        /// Whether a descriptor holds the passphrase of the key.
        var hasPassphrase = false
        /// Whether the program is in the background, so that the worker is to let go of the terminal when ready.
        var detached = false
        /// Whether a descriptor wants to hear of providers that are stuck.
        var watchesMaps = false
        /// The Unix sockets of the maps, in the order of `--map_library`; no path has a line end in it.
        var mapSockets: [String] = []
        /// The Unix socket of the helper of `--authenticate_in`, a path without blanks; nil for none.
        var authSocket: String?

        /// As environment variables.
        var environment: [String] {
            let flags = [reports, hasPassphrase, detached, watchesMaps].map { $0 ? "1" : "0" }.joined()
            let maps = mapSockets.joined(separator: "\n")
            let orders = "\(Worker.roleVariable)=\(listeners) \(flags) \(authSocket ?? "") \(maps)"
            return getenv("GLIBC_TUNABLES") == nil ? [orders, Worker.allocator] : [orders]
        }

        init(listeners: Int) {
            self.listeners = listeners
        }

        /// Reads what `environment` wrote; nil where it is not that.
        init?(_ text: String) {
            let parts = text.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
            guard parts.count == 4, let count = Int(parts[0]), (0...60).contains(count), parts[1].utf8.count == 4 else {
                return nil
            }
            let flags = parts[1].map { $0 == "1" }
            listeners = count
            reports = flags[0]
            hasPassphrase = flags[1]
            detached = flags[2]
            authSocket = parts[2].isEmpty ? nil : String(parts[2])
            watchesMaps = flags[3]
            mapSockets = parts[3].split(separator: "\n").map(String.init)
        }

        /// The descriptor that wants to hear that the worker is ready.
        var report: Int32? { reports ? 3 + Int32(listeners) : nil }
        /// The descriptor that holds the passphrase of the key.
        var passphrase: Int32? { hasPassphrase ? 3 + Int32(listeners) + (reports ? 1 : 0) : nil }
        /// The descriptor that wants to hear of stuck providers.
        var watch: Int32? {
            watchesMaps ? 3 + Int32(listeners) + (reports ? 1 : 0) + (hasPassphrase ? 1 : 0) : nil
        }
    }

    private let services: Services
    private let sink: LogSink
    private let loops: [Loop]
    private let signals: SignalDescriptor

    /// Serves until the master says stop.
    /// - Returns: the exit status.
    static func run(_ options: Options, _ orders: Orders) throws(Master.Failure) -> Int32 {
        let worker: Worker
        do throws(Master.Failure) {
            worker = try Worker(options, orders)
        } catch {
            // Watched for in the log; at the start, whoever started the program reads standard error as well.
            let sink = (try? LogDestination(options.logFacility)).flatMap {
                try? LogSink($0, name: options.programName)
            }
            sink?.write(.error, error.description)
            throw orders.report == nil ? .said : Master.Failure("\(options.programName): \(error)")
        }
        let listeners = (0..<Int32(orders.listeners)).map { 3 + $0 }
        for listener in listeners {
            setNoDelay(listener)
            if options.tcpKeepalive { setKeepalive(listener) }
        }
        worker.start(listeners)
        if let report = orders.report {
            var ready: UInt8 = 1
            _ = write(report, &ready, 1)
            close(report)
        }
        if let passphrase = orders.passphrase { close(passphrase) }
        if orders.detached { Background.releaseTerminal() }
        worker.loops[0].thread.run()
        return 0
    }

    private init(_ options: Options, _ orders: Orders) throws(Master.Failure) {
        let tls: TLSContexts
        let descriptors: Int
        do {
            signals = try SignalDescriptor([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGWINCH])
            descriptors = Int(Limits.raiseOpenFiles())
            let identity = geteuid() == 0 ? try Identity(user: options.username, group: options.group) : nil
            sink = try LogSink(try LogDestination(options.logFacility), name: options.programName, owner: identity)
            tls = try TLSContexts(options, passphrase: orders.passphrase)
            if let identity { try Privileges.drop(to: identity) }
            // The change of user has cleared it: without its master a worker is nobody's.
            _ = linux_prctl(Int32(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
            _ = linux_prctl(Int32(linux_PR_SET_NO_NEW_PRIVS), 1)
            _ = chdir("/")
            let count = options.threads > 0 ? options.threads : max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
            var loops: [Loop] = []
            for number in 0..<count { loops.append(Loop(try LoopThread(number: number))) }
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
        log.info("Open files: \(descriptors), enough for \(capacity.sessions) sessions")
        services = Services(
            options: options, log: log, tls: tls, nodeName: Self.nodeName(),
            maps: MapService.all(options, sockets: orders.mapSockets, watch: orders.watch, log: log),
            authSocket: orders.authSocket, capacity: capacity)
    }

    private func start(_ listeners: [Int32]) {
        let services = services
        for loop in loops {
            loop.start { loop in
                LogSink.batchOnThisThread()
                loop.thread.beforeSleep = { LogSink.flush() }
                let floor = Floor(loop, services: services)
                loop.thread.tenant = floor
                floor.accept(from: listeners)
            }
        }
        watchSignals()
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
        loops[0].start { loop in
            guard let channel = try? Channel(signals.descriptor, on: loop.thread) else { return }
            while await channel.waitReadable(within: nil) == .ready {
                while let signal = signals.next() {
                    switch signal {
                    case SIGTERM, SIGINT, SIGQUIT:
                        await Self.end(loops)
                        return
                    case SIGHUP:
                        for map in services.maps { map.memory?.purge() }
                        do throws(DaemonError) { try sink.reopen() } catch { services.log.error("\(error)") }
                    default: break
                    }
                }
                channel.wouldBlockReading()
            }
        }
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
