import CLinux
import Glibc
import Loop
import Synchronization

/// Names of servers to addresses, within a time: getaddrinfo(3) has no end of its own, so each name is looked up on a
/// thread that may be left behind.
final class Resolver: Sendable {
    /// A name that is being looked up. Whoever asks for it meanwhile waits for the same.
    private final class Query: Sendable {
        let outcome = Mutex<Result<[SocketAddress], LDAPFault>?>(nil)
        /// Readable for good once there is an outcome; -1 where there are no descriptors left.
        let finished = linux_eventfd()

        deinit {
            if finished >= 0 { close(finished) }
        }
    }

    /// One thread a name at most: there are as many names as the URL has hosts.
    private let queries = Mutex<[String: Query]>([:])

    /// The addresses of a host, best first.
    /// - Parameters:
    ///   - host: a name or an address.
    ///   - port: the port of the addresses.
    ///   - deadline: when to stop waiting.
    /// - Throws: `LDAPFault` where there are none, or not in time.
    func addresses(of host: String, port: UInt16, by deadline: Deadline) throws(LDAPFault) -> [SocketAddress] {
        if let address = SocketAddress(host: host, port: port) { return [address] }
        let query = try query(for: host)
        var readable = pollfd(fd: query.finished, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&readable, 1, deadline.remaining)
            if count > 0 { break }
            if count < 0, linux_errno() == EINTR { continue }
            throw LDAPFault(.unreachable, "its name is still being looked up")
        }
        guard let outcome = query.outcome.withLock({ $0 }) else {
            throw LDAPFault(.unreachable, "its name cannot be looked up")
        }
        return try outcome.get().map { address in
            var address = address
            address.port = port
            return address
        }
    }

    private func query(for host: String) throws(LDAPFault) -> Query {
        let (query, isNew) = queries.withLock { queries in
            if let query = queries[host] { return (query, false) }
            let query = Query()
            if query.finished >= 0 { queries[host] = query }
            return (query, true)
        }
        guard query.finished >= 0 else { throw LDAPFault(.unreachable, "no descriptor is free") }
        guard isNew else { return query }
        do {
            try startThread(name: "resolver") { [self] in
                let outcome = Self.resolve(host)
                queries.withLock { $0[host] = nil }
                query.outcome.withLock { $0 = outcome }
                var one: UInt64 = 1
                _ = write(query.finished, &one, MemoryLayout<UInt64>.size)
            }
        } catch {
            queries.withLock { $0[host] = nil }
            throw LDAPFault(.unreachable, "no thread can be had: \(error)")
        }
        return query
    }

    private static func resolve(_ host: String) -> Result<[SocketAddress], LDAPFault> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(linux_STREAM)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            return .failure(LDAPFault(.unreachable, String(cString: gai_strerror(code))))
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let raw = entry.ai_addr { addresses.append(SocketAddress(raw, length: entry.ai_addrlen)) }
            next = entry.ai_next
        }
        return .success(addresses)
    }
}
