import CLinux
import Control
import Glibc
import Logging
import Lookup
import Loop
import Synchronization
import TLS

/// Everything that lives on one loop: its acceptors, its way to the popmap, its sessions.
final class Floor {
    private let loop: Loop
    private let services: Services
    private let router: Router
    private let maps: [LookupMap]
    private let authentication: LocalAuthentication?
    private let tlsSessions: TLSSessions?
    private let memory: CapabilityMemory
    /// Where what happens on this loop is counted.
    let tally: Tally
    /// Who answers `perditionctl`; on the first loop only.
    var desk: ControlDesk?
    /// Who serves metrics; on the first loop only.
    var metrics: MetricsDesk?
    private var acceptors: [Acceptor] = []
    /// Where clients come in.
    private var entrances: [Router.Entrance] = []
    @exclusivity(unchecked) private var visitors = Visitors()
    @exclusivity(unchecked) private var queue = Queue()
    private let headerNotice: Notice
    @exclusivity(unchecked) private var stopping = false
    @exclusivity(unchecked) private var whenEmpty: (() -> Void)?

    /// A floor of a loop; called on the loop's thread.
    init(_ loop: Loop, services: Services, tally: Tally = .unread()) {
        self.loop = loop
        self.tally = tally
        self.services = services
        let options = services.options
        headerNotice = Notice(services.log)
        memory = CapabilityMemory(loop.thread)
        tlsSessions = services.tls.outgoing.map { TLSSessions($0) }
        let deadline = UInt64(max(options.mapTimeout, 1)) &* 1000
        let maps = services.maps.map {
            LookupMap(
                name: $0.name,
                client: Client(
                    path: $0.socket, deadline: deadline, pulse: $0.pulse, tables: $0.tables, on: loop.thread),
                memory: $0.memory, notice: $0.notice)
        }
        self.maps = maps
        authentication = services.authSocket.map { LocalAuthentication(path: $0, on: loop.thread) }
        let count = UInt(max(options.outgoingServer.count, 1))
        router = Router(options, maps: maps, turn: Int(UInt.random(in: 0..<count)), tally: tally)
    }

    /// Opens the doors. What is set on the listening sockets holds for the connections (TCP_NODELAY, SO_KEEPALIVE).
    /// - Parameter doors: listening sockets, and what holds for those who come in by each.
    func accept(from doors: [(socket: Int32, settings: Settings)]) {
        entrances = doors.map { Router.Entrance(SocketAddress.of($0.socket, peer: false), $0.settings) }
        for (socket, settings) in doors {
            do throws(Errno) {
                acceptors.append(
                    try Acceptor(socket, on: loop.thread) { [unowned self] descriptor, peer in
                        welcome(descriptor, peer, settings)
                    } failed: { [unowned self] error in
                        noDescriptors(error)
                    })
            } catch {
                services.log.critical("Fatal error listening for connections.Exiting. \(error)")
            }
        }
    }

    /// Accepts no more than who waits now.
    func closeDoors() {
        desk?.closeDoors()
        metrics?.closeDoors()
        for acceptor in acceptors { acceptor.close(taking: Listening.backlog) }
        acceptors = []
    }

    /// From now on says when a session was the last of all loops; at once where there is none.
    func leave(_ whenEmpty: @escaping () -> Void) {
        self.whenEmpty = whenEmpty
        leaveIfEmpty()
    }

    func leaveIfEmpty() {
        guard let whenEmpty, services.sessions.load(ordering: .relaxed) <= 0,
            services.errands.load(ordering: .relaxed) <= 0
        else { return }
        self.whenEmpty = nil
        whenEmpty()
    }

    /// Ends everything: no more connections, all sessions closed.
    func stop() {
        stopping = true
        for acceptor in acceptors { acceptor.stop() }
        acceptors = []
        for visitor in visitors.all { visitor.stop() }
    }

    private func welcome(_ descriptor: Int32, _ peer: SocketAddress, _ settings: Settings) {
        let limit = services.options.connectionLimit
        let open = services.sessions.add(1, ordering: .relaxed).newValue
        if limit > 0, open > limit {
            services.limitNotice.say(loop.thread.now) { more in
                "Connection limit of \(limit) reached (--connection_limit): \(peer) was turned away\(more)"
            }
            return turnAway(descriptor, settings, "Too many connections, mate")
        }
        tally.add(.connections)
        // A balancer is not who is to be counted.
        let isBalancer = !services.options.proxyNetworks.isEmpty && isInProxyNetworks(peer)
        let origin = isBalancer ? nil : services.door.origin(of: peer)
        guard services.door.enter(origin, peer, now: loop.thread.now) else {
            return turnAway(descriptor, settings, "Too many connections from your address, mate")
        }
        if open > services.capacity.sessions, !makeRoom() {
            services.door.leave(origin, waiting: true, now: loop.thread.now)
            return turnAway(descriptor, settings, "Too many connections, mate")
        }
        loop.start { loop in
            guard let floor = loop.thread.tenant as? Floor else { return }
            if isBalancer {
                await floor.receive(descriptor, from: peer, settings)
            } else {
                await floor.serve(descriptor, peer, origin, settings)
            }
        }
    }

    private func isInProxyNetworks(_ peer: SocketAddress) -> Bool {
        services.options.proxyNetworks.contains { $0.contains(peer) }
    }

    /// Serves the client whose connection a balancer of `--proxy_networks` hands on.
    private func receive(_ descriptor: Int32, from balancer: SocketAddress, _ settings: Settings) async {
        guard !stopping, let channel = try? Channel(descriptor, on: loop.thread) else {
            if stopping { close(descriptor) }
            return leave(nil, waiting: true)
        }
        let arrival = Arrival(channel)
        visitors.add(arrival)
        let header: ProxyHeader
        do throws(Arrival.Failure) {
            header = try await arrival.header()
        } catch {
            headerNotice.say(loop.thread.now) { more in
                "Connection from \(balancer), which is in --proxy_networks, was closed: it began with "
                    + "\(error.reason)\(more)"
            }
            visitors.remove(arrival)
            channel.close()
            return leave(nil, waiting: true)
        }
        visitors.remove(arrival)
        let client = header.source ?? balancer
        let origin = header.source.flatMap { services.door.origin(of: $0) }
        guard services.door.enter(origin, client, now: loop.thread.now) else {
            if !settings.options.sslMode.contains(.sslListen) {
                let text = Farewell.bytes("Too many connections from your address, mate", settings.options.protocolName)
                _ = text.withUnsafeBytes { channel.send($0, more: false) }
            }
            channel.close()
            return leave(nil, waiting: true)
        }
        await serve(makeSession(channel, client, settings, destination: header.destination, origin: origin), origin)
    }

    /// A word to the one too many; one that fits in any socket's buffer.
    private func turnAway(_ descriptor: Int32, _ settings: Settings, _ text: StaticString) {
        services.sessions.subtract(1, ordering: .relaxed)
        tally.add(.turnedAway)
        if !settings.options.sslMode.contains(.sslListen) {
            Farewell.bytes(text, settings.options.protocolName).withUnsafeBytes {
                _ = linux_send(descriptor, $0.baseAddress, $0.count)
            }
        }
        close(descriptor)
    }

    /// Sends away the client that has been here longest without logging in.
    /// - Returns: false where there is none.
    private func makeRoom() -> Bool {
        let oldest = queue.oldest()
        let capacity = services.capacity
        services.descriptorNotice.say(loop.thread.now) { more in
            "All \(capacity.descriptors) file descriptors are in use or spoken for, by \(capacity.sessions) sessions: "
                + (oldest == nil ? "new clients are turned away" : "clients that do not log in are sent away")
                + ". Raise the limit on open files (LimitNOFILE= in the systemd unit, ulimit -Hn)\(more)"
        }
        guard let oldest else { return false }
        queue.remove(oldest)
        oldest.sendAway("Too many connections, mate")
        return true
    }

    private func noDescriptors(_ error: Errno) {
        if error == Errno(EMFILE), makeRoom() { return }
        services.descriptorNotice.say(loop.thread.now) { more in
            "Connections wait, none can be accepted for the moment: \(error)\(more)"
        }
    }

    /// A session over an accepted connection.
    /// - Parameters:
    ///   - settings: those of the listener it came in by.
    ///   - destination: the address the client connected to, where that is not the one of the connection.
    ///   - note: what follows the addresses in the Connect line.
    func makeSession(
        _ channel: Channel, _ peer: SocketAddress, _ settings: Settings, destination: SocketAddress? = nil,
        origin: Origin? = nil, note: String = ""
    ) -> Session {
        Session(
            channel, services: services, settings: settings, router: router, authentication: authentication,
            tlsSessions: tlsSessions, memory: memory, source: peer, destination: destination, origin: origin,
            note: note, tally: tally)
    }

    private func serve(
        _ descriptor: Int32, _ peer: SocketAddress, _ origin: Origin?, _ settings: Settings
    ) async {
        guard !stopping, let channel = try? Channel(descriptor, on: loop.thread) else {
            if stopping { close(descriptor) }
            return leave(origin, waiting: true)
        }
        await serve(makeSession(channel, peer, settings, origin: origin), origin)
    }

    private func serve(_ session: Session, _ origin: Origin?) async {
        tally.add(.loggingIn)
        visitors.add(session)
        queue.append(session)
        let relay = await session.run()
        queue.remove(session)
        visitors.remove(session)
        tally.subtract(.loggingIn)
        guard let relay else {
            tally.add(.abandoned)
            return leave(origin, waiting: true)
        }
        tally.add(.relaying)
        services.door.logIn(origin)
        visitors.add(relay)
        // In two forms, as a session keeps one for hours.
        if let origin {
            relay.onEnd = { [unowned self, guest = session.guest] relay in
                visitors.remove(relay)
                tally.subtract(.relaying)
                services.door.leave(guest)
                services.door.leave(origin, waiting: false, now: loop.thread.now)
                leaveIfEmpty()
            }
        } else {
            relay.onEnd = { [unowned self] relay in
                visitors.remove(relay)
                tally.subtract(.relaying)
                leaveIfEmpty()
            }
        }
        relay.start()
    }

    private func leave(_ origin: Origin?, waiting: Bool) {
        services.sessions.subtract(1, ordering: .relaxed)
        services.door.leave(origin, waiting: waiting, now: loop.thread.now)
        leaveIfEmpty()
    }

    // MARK: What the administrator asks

    /// What there is to see of every session; others have their turn meanwhile.
    func entries() async -> [SessionEntry] {
        var entries: [SessionEntry] = []
        for (number, visitor) in visitors.all.enumerated() {
            if number % Self.glance == Self.glance - 1 { await Task.yield() }
            if let entry = visitor.entry { entries.append(entry) }
        }
        return entries
    }

    /// Ends the sessions of a user.
    /// - Returns: how many there were.
    func kick(_ names: [String]) async -> Int {
        var count = 0
        for (number, visitor) in visitors.all.enumerated() {
            if number % Self.glance == Self.glance - 1 { await Task.yield() }
            if visitor.kick(names) { count += 1 }
        }
        tally.add(.kicked, UInt64(count))
        return count
    }

    /// Sessions that are looked at in a row.
    private static let glance = 256

    /// Where a user's login would go.
    func trace(_ user: [UInt8]) async -> ControlAnswer {
        await Router.trace(user, services, maps: maps, entrances: entrances)
    }
}
