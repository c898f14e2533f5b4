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
        // The end of the local address, the remote one, which is nobody's, and the state.
        [("tcp", 8), ("tcp6", 32)].contains { table, digits in
            let wanted = String(format: ":%04X ", Int(port)) + String(repeating: "0", count: digits) + ":0000 0A"
            return rows(of: "/proc/net/\(table)").range(of: Data(wanted.utf8)) != nil
        }
    }

    /// All of a table. It comes a page at a time, of which FileManager takes the first for the whole; and it may have tens
    /// of thousands of rows for connections that have just ended, so it is not taken apart.
    static func rows(of table: String) -> Data {
        var all = Data()
        let file = open(table, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return all }
        defer { Glibc.close(file) }
        var page = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(file, &page, page.count)
            guard count > 0 else { return all }
            all.append(contentsOf: page[..<count])
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
