import CLinux
import Glibc

@testable import TLS

/// Two ends of TLS over a non-blocking socket pair, driven in turns by one thread.
final class ConnectionPair {
    let client: TLSConnection
    let server: TLSConnection
    let clientDescriptor: Int32
    let serverDescriptor: Int32
    private(set) var clientResult = TLSResult.wantRead
    private(set) var serverResult = TLSResult.wantRead

    init(
        _ clientContext: TLSContext, _ serverContext: TLSContext, name: String? = nil, sessions: TLSSessions? = nil,
        port: UInt16 = 0, bufferSize: Int32? = nil, staysOnThread: Bool = false
    ) throws {
        signal(SIGPIPE, SIG_IGN)
        let pair = try socketPair(bufferSize: bufferSize)
        clientDescriptor = pair.0
        serverDescriptor = pair.1
        client = try TLSConnection(
            clientContext, descriptor: pair.0, serverName: name, sessions: sessions, port: port,
            staysOnThread: staysOnThread)
        server = try TLSConnection(serverContext, descriptor: pair.1, staysOnThread: staysOnThread)
    }

    deinit {
        close(clientDescriptor)
        close(serverDescriptor)
    }

    /// Shakes hands until neither side has anything left to say.
    /// - Returns: whether both sides are content.
    @discardableResult
    func shakeHands() -> Bool {
        for _ in 0..<100 {
            if !isOver(clientResult) { clientResult = client.handshake() }
            if !isOver(serverResult) { serverResult = server.handshake() }
            if isOver(clientResult), isOver(serverResult) { break }
        }
        return clientResult == .done(0) && serverResult == .done(0)
    }

    /// The sentence of the side that failed, if it did.
    static func fault(_ result: TLSResult) -> TLSError? {
        if case .failed(let error) = result { error } else { nil }
    }

    var clientFault: TLSError? { Self.fault(clientResult) }
    var serverFault: TLSError? { Self.fault(serverResult) }

    /// Sends a word from the server and reads it, so that session tickets reach the client.
    func greet() -> String? {
        guard send("hello", from: server) == .done(5) else { return nil }
        return receive(client)
    }

    func send(_ text: String, from side: TLSConnection) -> TLSResult {
        Array(text.utf8).withUnsafeBytes { side.write($0) }
    }

    func receive(_ side: TLSConnection) -> String? {
        var bytes = [UInt8](repeating: 0, count: 100)
        guard case .done(let count) = bytes.withUnsafeMutableBytes({ side.read(into: $0) }) else { return nil }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private func isOver(_ result: TLSResult) -> Bool {
        result != .wantRead && result != .wantWrite
    }
}

struct SocketFault: Error {
    let code: Int32
}

/// Two connected, non-blocking sockets.
/// - Parameter bufferSize: of the system's buffers, in bytes; nil for its default.
func socketPair(bufferSize: Int32? = nil) throws -> (Int32, Int32) {
    var pair: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else { throw SocketFault(code: linux_errno()) }
    if var size = bufferSize {
        for descriptor in pair {
            setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
    }
    return (pair[0], pair[1])
}
