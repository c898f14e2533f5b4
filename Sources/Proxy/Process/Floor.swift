import CLinux
import Glibc
import Logging
import Lookup
import Loop
import Synchronization
import TLS

/// Something with a client that can be ended from outside.
protocol Visitor: AnyObject {
    /// Ends it now.
    func stop()
}

/// Everything that lives on one loop: its acceptors, its way to the popmap, its sessions.
final class Floor {
    private let loop: Loop
    private let services: Services
    private let router: Router
    private let authentication: LocalAuthentication?
    private let tlsSessions: TLSSessions?
    private let memory: CapabilityMemory
    private var acceptors: [Acceptor] = []
    private var visitors: [ObjectIdentifier: any Visitor] = [:]
    private var lastComplaint: UInt64?
    private var stopping = false

    /// A floor of a loop; called on the loop's thread.
    init(_ loop: Loop, services: Services) {
        self.loop = loop
        self.services = services
        let options = services.options
        memory = CapabilityMemory(loop.thread)
        tlsSessions = services.tls.outgoing.map { TLSSessions($0) }
        let deadline = UInt64(max(options.mapTimeout, 1)) &* 1000
        let maps = services.maps.map {
            LookupMap(
                name: $0.name, client: Client(path: $0.socket, deadline: deadline, pulse: $0.pulse, on: loop.thread),
                memory: $0.memory, notice: $0.notice)
        }
        authentication = services.authSocket.map { LocalAuthentication(path: $0, on: loop.thread) }
        let count = UInt(max(options.outgoingServer.count, 1))
        router = Router(options, maps: maps, turn: Int(UInt.random(in: 0..<count)))
    }

    /// Opens the doors. What is set on the listening sockets holds for the connections (TCP_NODELAY, SO_KEEPALIVE).
    func accept(from listeners: [Int32]) {
        for listener in listeners {
            do throws(Errno) {
                acceptors.append(
                    try Acceptor(listener, on: loop.thread) { [unowned self] descriptor, peer in
                        welcome(descriptor, peer)
                    } failed: { [unowned self] error in
                        complain("Connections wait, none can be accepted for the moment: \(error)")
                    })
            } catch {
                services.log.critical("Fatal error listening for connections.Exiting. \(error)")
            }
        }
    }

    /// Ends everything: no more connections, all sessions closed.
    func stop() {
        stopping = true
        for acceptor in acceptors { acceptor.stop() }
        acceptors = []
        for visitor in visitors.values { visitor.stop() }
    }

    private func welcome(_ descriptor: Int32, _ peer: SocketAddress) {
        let limit = services.options.connectionLimit
        let open = services.sessions.add(1, ordering: .relaxed).newValue
        if limit > 0, open > limit {
            turnAway(descriptor)
            complain("Connection limit of \(limit) reached (--connection_limit): \(peer) was turned away")
            return
        }
        loop.start { loop in
            guard let floor = loop.thread.tenant as? Floor else { return }
            await floor.serve(descriptor, peer)
        }
    }

    /// A word to the one too many; one that fits in any socket's buffer.
    private func turnAway(_ descriptor: Int32) {
        services.sessions.subtract(1, ordering: .relaxed)
        let words: StaticString =
            switch services.options.protocolName {
            case .imap4: "* BYE Too many connections, mate\r\n"
            case .pop3: "-ERR [SYS/TEMP] Too many connections, mate\r\n"
            case .managesieve: "BYE \"Too many connections, mate\"\r\n"
            case .imap4s, .pop3s: ""
            }
        words.withUTF8Buffer { _ = linux_send(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }

    /// A session over an accepted connection.
    /// - Parameter note: what follows the addresses in the Connect line.
    func makeSession(_ channel: Channel, _ peer: SocketAddress, note: String = "") -> Session {
        Session(
            channel, services: services, router: router, authentication: authentication, tlsSessions: tlsSessions,
            memory: memory, source: peer, note: note)
    }

    private func serve(_ descriptor: Int32, _ peer: SocketAddress) async {
        guard !stopping, let channel = try? Channel(descriptor, on: loop.thread) else {
            if stopping { close(descriptor) }
            services.sessions.subtract(1, ordering: .relaxed)
            return
        }
        let session = makeSession(channel, peer)
        visitors[ObjectIdentifier(session)] = session
        let relay = await session.run()
        visitors[ObjectIdentifier(session)] = nil
        guard let relay else {
            services.sessions.subtract(1, ordering: .relaxed)
            return
        }
        visitors[ObjectIdentifier(relay)] = relay
        relay.onEnd = { [unowned self] relay in visitors[ObjectIdentifier(relay)] = nil }
        relay.start()
    }

    /// At most one line a minute about what goes on as long as it goes on.
    private func complain(_ text: String) {
        if let lastComplaint, loop.thread.now - lastComplaint < 60_000 { return }
        lastComplaint = loop.thread.now
        services.log.error("\(text)")
    }
}
