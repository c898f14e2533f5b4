import CLinux
import Foundation
import Synchronization

/// A server that gets no further than some point of the protocol.
final class FakeLDAP: Sendable {
    enum Manner: Sendable {
        /// Takes connections and says nothing.
        case silent
        /// Hangs up when asked something.
        case hangsUp
        /// Takes the login, and then sends the beginning of a message.
        case stopsHalfway
        /// Takes the login, and announces a message of 2 GiB.
        case boasts
        /// Takes the login, and answers the search with bytes that are no message.
        case babbles
        /// Does not know StartTLS.
        case refusesTLS
    }

    private static let boundWell: [UInt8] = [0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0]
    private static let startTLSFailed: [UInt8] = [0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 2, 4, 0, 4, 0]

    let port: Int
    private let manner: Manner
    private let listener: Int32
    private let bytes = Mutex<[UInt8]>([])
    private let connections = Atomic<Int>(0)

    init(_ manner: Manner) throws {
        self.manner = manner
        let listener = try TCP.socket()
        self.listener = listener
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = TCP.with(0) { bind(listener, $0, $1) }
        listen(listener, 16)
        withUnsafeMutablePointer(to: &address) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
        }
        port = Int(in_port_t(bigEndian: address.sin_port))
        Thread { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0 { break }
                connections.add(1, ordering: .relaxed)
                Thread { [self] in serve(descriptor) }.start()
            }
        }.start()
    }

    /// All that came, on all connections.
    var received: [UInt8] { bytes.withLock { $0 } }

    /// How many connections there were.
    var calls: Int { connections.load(ordering: .relaxed) }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private func serve(_ descriptor: Int32) {
        defer { close(descriptor) }
        var room = [UInt8](repeating: 0, count: 4096)
        var turn = 0
        while true {
            let count = recv(descriptor, &room, room.count, 0)
            guard count > 0 else { return }
            bytes.withLock { $0 += room[..<count] }
            turn += 1
            var reply: [UInt8]?
            switch (manner, turn) {
            case (.hangsUp, _): return
            case (.silent, _): reply = nil
            case (.refusesTLS, 1): reply = Self.startTLSFailed
            case (_, 1): reply = Self.boundWell
            case (.stopsHalfway, 2): reply = [0x30, 0x30, 2, 1]
            case (.boasts, 2):
                reply = [0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, 2, 0x64] + [UInt8](repeating: 0x30, count: 60)
            case (.babbles, 2): reply = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
            default: reply = nil
            }
            if let reply { _ = linux_send(descriptor, reply, reply.count) }
        }
    }
}
