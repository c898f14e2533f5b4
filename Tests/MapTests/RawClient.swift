import CLinux
import Foundation

/// A connection that sends and reads just the given bytes.
final class RawClient {
    private let descriptor: Int32

    init?(_ path: String, blocking: Bool = true) {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { return nil }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if !blocking { _ = linux_fcntl(descriptor, F_SETFL, O_NONBLOCK) }
    }

    deinit { close(descriptor) }

    /// Sends all of it; whether that went.
    func send(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return linux_send(descriptor, bytes, bytes.count) == bytes.count
    }

    /// Reads so many bytes, or up to the end of the connection.
    func receive(_ count: Int) -> String {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var room = [UInt8](repeating: 0, count: min(65536, count - bytes.count))
            let got = recv(descriptor, &room, room.count, 0)
            guard got > 0 else { break }
            bytes += room[..<got]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads up to the end of the connection.
    func receiveAll() -> String { receive(.max) }
}
