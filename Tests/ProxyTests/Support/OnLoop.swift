import CLinux
import Glibc
import Logging
import Loop
import Synchronization
import Testing

@testable import Proxy

/// Runs a test's body as a task on a loop with a thread of its own, which ends with it.
/// - Parameter usesRing: whether what is sent leaves at the end of a turn, as it does in the proxy. Most tests look at the
///   far end sooner.
@discardableResult
func onLoop<Value: Sendable>(
    usesRing: Bool = false, _ body: @escaping @Sendable (isolated Loop) async throws -> Value
) async throws -> Value {
    let thread = try LoopThread(usesRing: usesRing)
    let loop = Loop(thread)
    try thread.start(name: "test")
    defer { thread.stop() }
    return try await withCheckedThrowingContinuation { continuation in
        loop.start { loop in
            do {
                continuation.resume(returning: try await body(loop))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// A connected pair of non-blocking Unix sockets.
func socketPair() throws(Errno) -> (Int32, Int32) {
    var pair: [Int32] = [-1, -1]
    guard linux_socketpair(&pair) == 0 else { throw .last }
    return (pair[0], pair[1])
}

/// A connected pair of non-blocking TCP sockets: the end that connected, and the other.
func tcpPair(_ host: String = "127.0.0.1") throws -> (Int32, Int32) {
    let listener = try Listener(host)
    let client = linux_socket(Int32(listener.address.family), Int32(linux_STREAM), 0)
    guard listener.address.withSocketAddress({ connect(client, $0, $1) }) == 0 || linux_errno() == EINPROGRESS else {
        throw Errno.last
    }
    setNoDelay(client)
    var wait = pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
    _ = poll(&wait, 1, 10_000)
    let server = linux_accept(listener.descriptor, nil, nil)
    guard server >= 0 else { throw Errno.last }
    setNoDelay(server)
    return (client, server)
}

/// A listening socket at a free port.
final class Listener: Sendable {
    let descriptor: Int32
    let address: SocketAddress

    init(_ host: String = "127.0.0.1") throws {
        let wanted = try #require(SocketAddress(host: host, port: 0))
        let number = linux_socket(Int32(wanted.family), Int32(linux_STREAM), 0)
        descriptor = number
        address =
            number >= 0 && wanted.withSocketAddress({ bind(number, $0, $1) }) == 0 && listen(number, 64) == 0
            ? SocketAddress.of(number, peer: false) : wanted
        if address.port == 0 { throw Errno.last }
    }

    deinit {
        close(descriptor)
    }
}

/// Lines a test's logger was given, with their levels.
final class LogBook: Sendable {
    private struct Handler: LogHandler {
        let book: LogBook
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            book.entries.withLock { $0.append("\(event.level): \(event.message)") }
        }
    }

    private let entries = Mutex<[String]>([])

    /// `level: text` of each line so far.
    var lines: [String] { entries.withLock { $0 } }

    var logger: Logger { Logger(label: "test") { _ in Handler(book: self) } }
}

extension Stream {
    /// A stream over a descriptor, with patience enough for a busy machine.
    convenience init(_ descriptor: Int32, on loop: isolated Loop) throws {
        self.init(try Channel(descriptor, on: loop.thread), patience: 30_000)
    }

    func send(_ text: String) async throws {
        try await send(Array(text.utf8))
    }

    /// The next line as text.
    func text() async throws -> String {
        try await line().text
    }

    /// Everything up to the end.
    func rest() async throws -> String {
        var bytes = takeRest()
        var room = [UInt8](repeating: 0, count: 65536)
        while true {
            switch room.withUnsafeMutableBytes({ read(into: $0) }) {
            case .moved(let count): bytes += room[..<count]
            case .closed: return bytes.text
            case .failed(let error): throw error
            case .wouldBlock:
                guard await channel.waitReadable(within: patience) == .ready else { throw StreamError.timedOut }
            }
        }
    }
}

extension Loop {
    /// Lets the loop go through some turns.
    func turn(_ count: Int = 2) async {
        for _ in 0..<count { await Task.yield() }
    }
}
