import CLinux
import Glibc
import Logging
import Lookup
import Loop
import Synchronization

/// What the worker threads of a provider share: one epoll set, so that whoever is free takes what comes next.
///
/// Every descriptor is watched for one event at a time (EPOLLONESHOT): the worker that gets it owns it until it is
/// watched again.
final class ServicePool: Sendable {
    /// What a worker is woken for.
    enum Event {
        /// Somebody connects.
        case incoming(ServiceListener)
        /// A connection, now the worker's own.
        case connection(ServiceConnection, UInt64)
        /// The service ends.
        case stop
        /// Nothing that concerns it.
        case none
    }

    private static let alarmToken = UInt64.max
    private static let listenerTokens = UInt64.max - 64

    let listeners: [ServiceListener]
    let mapName: [UInt8]
    /// The name by which all entries of the map are asked for.
    let tableName: [UInt8]
    private let limit: Int
    private let epoll: Int32
    private let alarm: Int32
    private let table = Mutex(ConnectionTable())
    /// How often the maps were to be opened anew.
    let reopenings = Atomic<Int>(0)
    /// Workers that have not ended.
    let running = Atomic<Int>(0)
    private let log = Logger(label: "lookup.service")

    /// Watches the listening sockets.
    /// - Throws: `Errno` where the system has no descriptor left.
    init(_ listeners: [ServiceListener], mapName: [UInt8], connections limit: Int) throws(Errno) {
        self.listeners = listeners
        self.mapName = mapName
        tableName = Wire.tablePrefix.utf8 + mapName
        self.limit = limit
        epoll = linux_epoll_create()
        guard epoll >= 0 else { throw .last }
        alarm = linux_eventfd()
        guard alarm >= 0, linux_epoll_add(epoll, alarm, linux_EPOLLIN, Self.alarmToken) == 0 else { throw .last }
        for (index, listener) in listeners.enumerated() {
            let token = Self.listenerTokens + UInt64(index)
            guard linux_epoll_add(epoll, listener.descriptor, linux_EPOLLIN | linux_EPOLLONESHOT, token) == 0 else {
                throw .last
            }
        }
    }

    /// Waits for the next event.
    func wait() -> Event {
        var event = linux_event()
        guard linux_epoll_wait(epoll, &event, 1, -1) == 1 else { return .none }
        let token = event.data
        // The alarm is never silenced: each worker is to hear it.
        if token == Self.alarmToken { return .stop }
        if token >= Self.listenerTokens { return .incoming(listeners[Int(token - Self.listenerTokens)]) }
        guard let connection = table.withLock({ $0.take(token) }) else { return .none }
        return .connection(connection, token)
    }

    /// Tells every worker to finish what it has.
    func stop() {
        var one: UInt64 = 1
        _ = write(alarm, &one, 8)
    }

    /// Accepts who waits at a listening socket, and watches it again.
    func accept(_ listener: ServiceListener) {
        var failure: Int32 = 0
        for _ in 0..<64 {
            let descriptor = linux_accept(listener.descriptor, nil, nil)
            guard descriptor >= 0 else {
                failure = linux_errno()
                break
            }
            admit(descriptor)
        }
        switch failure {
        case EMFILE, ENFILE, ENOMEM, ENOBUFS:
            log.error("cannot accept a connection: \(Errno(failure))")
            // Nothing gets better by trying at once.
            usleep(50_000)
        default: break
        }
        guard let index = listeners.firstIndex(where: { $0.descriptor == listener.descriptor }) else { return }
        _ = linux_epoll_modify(
            epoll, listener.descriptor, linux_EPOLLIN | linux_EPOLLONESHOT, Self.listenerTokens + UInt64(index))
    }

    private func admit(_ descriptor: Int32) {
        let admitted = table.withLock { table in
            if table.count >= limit {
                guard let idle = table.mostIdle(), let connection = table.take(idle) else { return false }
                table.release(idle)
                close(connection.descriptor)
            }
            let token = table.reserve()
            guard linux_epoll_add(epoll, descriptor, linux_EPOLLIN | linux_EPOLLONESHOT, token) == 0 else {
                table.release(token)
                return false
            }
            table.put(ServiceConnection(descriptor), token)
            return true
        }
        if !admitted {
            log.warning("a connection was refused: \(limit) are busy already")
            close(descriptor)
        }
    }

    /// Puts a connection back. Under the lock, since another worker may get its next event, or close it as the most
    /// idle one, at once.
    func giveBack(_ connection: consuming ServiceConnection, _ token: UInt64, next: ServiceConnection.Next) {
        let descriptor = connection.descriptor
        switch next {
        case .close: discard(descriptor, token)
        case .read, .write:
            let events = next.isWrite ? linux_EPOLLOUT : linux_EPOLLIN
            table.withLock { [connection] table in
                table.put(connection, token)
                _ = linux_epoll_modify(epoll, descriptor, events | linux_EPOLLONESHOT, token)
            }
        }
    }

    /// Closes a connection that the caller has taken.
    func discard(_ descriptor: Int32, _ token: UInt64) {
        table.withLock { $0.release(token) }
        close(descriptor)
    }

    /// Takes any connection that nobody works on, to finish it; nil when there is none.
    func takeAny() -> (ServiceConnection, UInt64)? {
        table.withLock { table in
            guard let token = table.mostIdle(), let connection = table.take(token) else { return nil }
            return (connection, token)
        }
    }

    /// Accepts who waits at a socket made here, since nobody else will.
    func acceptLast() {
        for listener in listeners where listener.path != nil { accept(listener) }
    }
}

extension ServiceConnection.Next {
    fileprivate var isWrite: Bool {
        if case .write = self { true } else { false }
    }
}
