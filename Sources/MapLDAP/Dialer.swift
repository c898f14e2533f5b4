import CLinux
import Glibc
import Lookup
import Loop

/// Connects to a server within a time. The client library could as well, but it would give the whole time to each address
/// of a host, and has no limit for the name.
struct Dialer: Sendable {
    /// Seconds a connection may be silent before the system asks whether the other end is still there.
    private static let keepAlive: Int32 = 60

    private let resolver = Resolver()

    /// A connected, non-blocking socket that the caller owns.
    /// - Throws: `LDAPFault` where no address of the server takes a connection in time.
    func connect(to server: LDAPServer, by deadline: Deadline) throws(LDAPFault) -> Int32 {
        var addresses: [SocketAddress]
        if server.scheme == .ldapi {
            guard let address = SocketAddress(path: server.host) else {
                throw LDAPFault(.senseless, "that path is too long for a socket")
            }
            addresses = [address]
        } else {
            addresses = try resolver.addresses(of: server.host, port: server.port, by: deadline)
        }
        var last = LDAPFault(.unreachable, "it has no address")
        while let address = addresses.first {
            do {
                return try Self.connect(to: address, by: deadline.part(of: addresses.count))
            } catch {
                last = error
            }
            addresses.removeFirst()
        }
        throw last
    }

    private static func connect(to address: SocketAddress, by deadline: Deadline) throws(LDAPFault) -> Int32 {
        let descriptor = linux_socket(Int32(address.family), Int32(linux_STREAM), 0)
        guard descriptor >= 0 else { throw LDAPFault(.unreachable, "\(Errno.last)") }
        var code = address.withSocketAddress { Glibc.connect(descriptor, $0, $1) == 0 ? 0 : linux_errno() }
        if code == EINPROGRESS { code = wait(for: descriptor, by: deadline) }
        guard code == 0 else {
            close(descriptor)
            throw LDAPFault(.unreachable, "\(Errno(code))")
        }
        if address.kind != .unix {
            set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
            set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, keepAlive)
            set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        }
        return descriptor
    }

    /// What became of a connection under way.
    private static func wait(for descriptor: Int32, by deadline: Deadline) -> Int32 {
        var writable = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        while true {
            let count = poll(&writable, 1, deadline.remaining)
            if count == 0 { return ETIMEDOUT }
            if count > 0 { break }
            let code = linux_errno()
            if code != EINTR { return code }
        }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : linux_errno()
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
