import Foundation
import Glibc
import Synchronization

/// A real server that does as a test says, also what no real one should.
final class FakeServer: Sendable {
    let port: UInt16
    private let state: State

    /// One conversation with the proxy.
    typealias Talk = @Sendable (FakeSession) throws -> Void

    /// Starts to listen.
    ///
    /// - Parameter talk: Runs on a thread of its own for each connection, which is closed when it returns or throws.
    init(host: String = "127.0.0.1", _ talk: @escaping Talk) throws {
        port = try FreePort.next()
        state = State(listener: try FakeServer.listen(host, port))
        let state = state
        Thread.detachNewThread {
            while true {
                let descriptor = accept(state.listener, nil, nil)
                if descriptor < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    break
                }
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                guard state.add(descriptor) else {
                    Glibc.close(descriptor)
                    break
                }
                Thread.detachNewThread {
                    let session = FakeSession(descriptor: descriptor, state: state)
                    try? talk(session)
                    session.hangUp()
                    state.remove(descriptor)
                    withExtendedLifetime(session) {}
                }
            }
            Glibc.close(state.listener)
        }
    }

    deinit {
        state.end()
    }

    /// How many connections there were.
    var connections: Int { state.count }
    /// How many are open now.
    var openConnections: Int { state.openCount }
    /// Every line received, of all connections in the order of arrival.
    var received: [String] { state.lines }
    /// Users that tried to log in, in order.
    var users: [String] { state.logins.map(\.user) }
    /// Who tried to log in, and with which password.
    var logins: [Login] { state.logins }

    struct Login: Equatable, Sendable {
        let user: String
        let password: String
    }

    /// Closes what is open, and refuses from now on.
    func stop() {
        state.end()
    }

    private static func listen(_ host: String, _ port: UInt16) throws -> Int32 {
        let address = try SocketAddress(host, port)
        let listener = socket(address.family, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard listener >= 0 else { throw Failure.system("socket") }
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard address.with({ bind(listener, $0, $1) }) == 0, Glibc.listen(listener, 512) == 0 else {
            throw Failure.system("listen on \(port)")
        }
        return listener
    }

    /// What the threads share.
    fileprivate final class State: Sendable {
        let listener: Int32
        private let inner = Mutex(Inner())

        private struct Inner {
            var open: Set<Int32> = []
            var count = 0
            var lines: [String] = []
            var logins: [Login] = []
            var hasEnded = false
        }

        init(listener: Int32) {
            self.listener = listener
        }

        var count: Int { inner.withLock { $0.count } }
        var openCount: Int { inner.withLock { $0.open.count } }
        var lines: [String] { inner.withLock { $0.lines } }
        var logins: [Login] { inner.withLock { $0.logins } }

        func add(_ descriptor: Int32) -> Bool {
            inner.withLock {
                guard !$0.hasEnded else { return false }
                $0.open.insert(descriptor)
                $0.count += 1
                return true
            }
        }

        func remove(_ descriptor: Int32) {
            inner.withLock { _ = $0.open.remove(descriptor) }
        }

        func note(line: String) {
            inner.withLock { $0.lines.append(line) }
        }

        func note(_ login: Login) {
            inner.withLock { $0.logins.append(login) }
        }

        func end() {
            inner.withLock {
                guard !$0.hasEnded else { return }
                $0.hasEnded = true
                // Wakes the thread that accepts, which closes it.
                shutdown(listener, Int32(SHUT_RDWR))
                for descriptor in $0.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
            }
        }
    }
}

/// The real server's end of one connection; what it reads is noted.
final class FakeSession: Connection {
    private let state: FakeServer.State
    /// Sends byte by byte, with a rest in between.
    var isSlow = false

    fileprivate init(descriptor: Int32, state: FakeServer.State) {
        self.state = state
        super.init(descriptor: descriptor)
    }

    override func lineOrEnd(within seconds: Double = 20) throws -> String? {
        let line = try super.lineOrEnd(within: seconds)
        if let line { state.note(line: line) }
        return line
    }

    /// Notes who tries to log in.
    func note(user: String, password: String) {
        state.note(FakeServer.Login(user: user, password: password))
    }

    /// Sends a line.
    func say(_ line: String) throws {
        if isSlow {
            for byte in line.utf8 {
                try send([byte])
                usleep(20_000)
            }
            return try send("\r\n")
        }
        try send(line + "\r\n")
    }

    /// Reads and forgets until the proxy closes.
    func waitForEnd(within seconds: Double = 60) throws {
        _ = try rest(within: seconds)
    }
}
