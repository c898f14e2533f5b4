import Foundation
import Glibc
import Synchronization

/// Ports for servers of tests.
enum FreePort {
    // Below the range that the kernel hands out to clients, so that no connection of another test sits on one; and
    // each only once in this process.
    private static let candidates = Mutex(UInt16.random(in: 10_000..<20_000))

    /// A port that nobody listens on, on any address, IPv4 and IPv6.
    static func next() throws -> UInt16 {
        for _ in 0..<2000 {
            let port = candidates.withLock { next in
                next = next < 30_000 ? next + 1 : 10_000
                return next
            }
            if canBind(port) { return port }
        }
        throw Failure("no port is free")
    }

    /// Whether some process here listens on `port`, told without connecting to it.
    static func isListening(_ port: UInt16) -> Bool {
        let wanted = String(format: ":%04X", Int(port))
        return ["/proc/net/tcp", "/proc/net/tcp6"].contains { table in
            guard let bytes = FileManager.default.contents(atPath: table) else { return false }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").contains { row in
                let columns = row.split(separator: " ", maxSplits: 4)
                return columns.count > 3 && columns[1].hasSuffix(wanted) && columns[3] == "0A"
            }
        }
    }

    private static func canBind(_ port: UInt16) -> Bool {
        guard let any = try? SocketAddress("::", port) else { return false }
        let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        return any.with { Glibc.bind(descriptor, $0, $1) } == 0
    }
}
