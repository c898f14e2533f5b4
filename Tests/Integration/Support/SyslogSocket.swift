import Foundation
import Glibc

/// Plays the syslog daemon where there is none.
final class SyslogSocket {
    private static let path = "/dev/log"
    private let descriptor: Int32

    /// Root may make /dev/log if nobody else has.
    static let isPossible = getuid() == 0 && access(path, F_OK) != 0

    init() throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw Failure.system("socket") }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Self.path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else { throw Failure.system("bind \(Self.path)") }
        chmod(Self.path, 0o666)
    }

    deinit {
        close(descriptor)
        unlink(Self.path)
    }

    /// Waits for a message; others are forgotten.
    func message(within seconds: Double = 20, where matches: (String) -> Bool) throws -> String {
        let deadline = Deadline(seconds: seconds)
        while !deadline.hasPassed {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, deadline.milliseconds) > 0 else { continue }
            var bytes = [UInt8](repeating: 0, count: 8192)
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            let message = String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 0 }, as: UTF8.self)
            if matches(message) { return message }
        }
        throw Failure("no such message came to \(Self.path)")
    }
}
