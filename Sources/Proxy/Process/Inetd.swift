import CLinux
import Daemon
import Glibc
import Logging
import Loop
import TLS

/// `--inetd_mode`: one session on standard input and output, without a master; the program ends with it.
final class Inetd {
    private let services: Services
    private let loop: Loop
    private let sockets: [ServiceSocket]
    private let providers: OwnProviders
    private var status: Int32 = 0
    private var relay: Relay?

    /// Serves one client.
    /// - Returns: the exit status: 0 after LOGOUT or the end of a session, 255 where it did not come to one.
    static func run(_ options: Options, directory: String) throws(Master.Failure) -> Int32 {
        let connection = try Master.wrap { () throws(Errno) in try socket() }
        do {
            return try Inetd(options, directory: directory).serve(connection)
        } catch let error as Master.Failure {
            throw error
        } catch {
            throw Master.Failure("\(options.programName): \(error)")
        }
    }

    private init(_ options: Options, directory: String) throws {
        let identity = geteuid() == 0 ? try Identity(user: options.username, group: options.group) : nil
        let sink = try LogSink(try LogDestination(options.logFacility), name: options.programName, owner: identity)
        let log = sink.logger(level: LogSink.level(quiet: options.quiet, debug: options.debug))
        let tls = try TLSContexts(options)
        var providers = OwnProviders()
        var authPath: String?
        var sockets: [ServiceSocket] = []
        for map in try MapList(options).entries {
            try providers.add(map, options, directory: directory, identity: identity)
        }
        if let path = try Authenticator.find(options, directories: Master.providerDirectories(options)) {
            if let warning = Authenticator.warning(options, isRoot: identity != nil) { log.warning("\(warning)") }
            let made = try ServiceSocket("authentication", in: "/tmp", owner: identity)
            sockets.append(made)
            // It sees by itself that we have ended: without root's rights we could not tell it.
            _ = try ChildProcess.start(made.start(ServiceSocket.authenticator(path, options)))
            authPath = made.path
        }
        self.sockets = sockets
        self.providers = providers
        if let identity { try Privileges.drop(to: identity) }
        try Privileges.confine()
        loop = Loop(try LoopThread(usesRing: !options.noIoUring))
        services = Services(
            options: options, log: log, tls: tls, nodeName: Worker.nodeName(),
            maps: MapService.all(options, sockets: providers.sockets, watch: nil, log: log), authSocket: authPath,
            sink: sink)
        loop.thread.tenant = self
    }

    private func serve(_ connection: Int32) -> Int32 {
        loop.start { loop in
            guard let inetd = loop.thread.tenant as? Inetd else { return }
            await inetd.converse(connection)
        }
        loop.thread.run()
        providers.end()
        for socket in sockets { socket.remove() }
        return status
    }

    private func converse(_ connection: Int32) async {
        let floor = Floor(loop, services: services)
        let peer = SocketAddress.of(connection, peer: true)
        guard let channel = try? Channel(connection, on: loop.thread) else {
            status = Perdition.failure
            return loop.thread.stop()
        }
        let session = floor.makeSession(channel, peer, services.settings, note: " inetd_pid=\(getppid())")
        relay = await session.run()
        guard let relay else {
            if session.end != .loggedOut { status = Perdition.failure }
            return await end()
        }
        relay.onEnd = { [unowned self] _ in loop.start { loop in await (loop.thread.tenant as? Inetd)?.end() } }
        relay.start()
    }

    /// Ends the program when the last words are on their way.
    private func end() async {
        await Task.yield()
        while loop.thread.isLeaving { await loop.thread.sleep(1) }
        loop.thread.stop()
    }

    /// The client's connection: standard input, where that is a socket; else a socket between which and standard input
    /// and output two threads carry bytes.
    private static func socket() throws(Errno) -> Int32 {
        var kind = stat()
        if fstat(STDIN_FILENO, &kind) == 0, kind.st_mode & S_IFMT == S_IFSOCK {
            let flags = linux_fcntl(STDIN_FILENO, F_GETFL, 0)
            _ = linux_fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK)
            return STDIN_FILENO
        }
        var ends: [Int32] = [-1, -1]
        guard linux_socketpair(&ends) == 0 else { throw .last }
        let outside = ends[1]
        _ = linux_fcntl(outside, F_SETFL, linux_fcntl(outside, F_GETFL, 0) & ~O_NONBLOCK)
        try startThread(name: "input") {
            carry(from: STDIN_FILENO, to: outside)
            shutdown(outside, Int32(SHUT_WR))
        }
        try startThread(name: "output") {
            carry(from: outside, to: STDOUT_FILENO)
            close(STDOUT_FILENO)
        }
        return ends[0]
    }

    private static func carry(from source: Int32, to sink: Int32) {
        withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 16) { room in
            while true {
                let count = read(source, room.baseAddress, room.count)
                guard count > 0 else { return }
                var sent = 0
                while sent < count {
                    let written = write(sink, room.baseAddress.map { $0 + sent }, count - sent)
                    guard written > 0 else { return }
                    sent += written
                }
            }
        }
    }
}
