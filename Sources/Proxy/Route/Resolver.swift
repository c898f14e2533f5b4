import CLinux
import Glibc
import Loop
import Synchronization

/// Names to addresses and back, on threads of their own; answers are kept for a short while.
final class Resolver: Sendable {
    /// Milliseconds an answer is good for; getaddrinfo(3) does not tell the TTL, so it is a small one.
    static let lifetime: UInt64 = 30_000
    /// Milliseconds a failure is remembered, so that a wrong name does not occupy the threads.
    static let failureLifetime: UInt64 = 2_000
    /// Most answers kept.
    static let capacity = 4096

    private struct Answer {
        var addresses: [SocketAddress]
        var failure: String
        var until: UInt64
    }

    private let pool: BlockingPool
    private let answers = Mutex<[String: Answer]>([:])
    private let names = Mutex<[SocketAddress: String]>([:])

    /// A resolver with so many threads (`--resolver_threads`).
    init(threads: Int) {
        pool = BlockingPool(name: "resolver", threads: threads)
    }

    /// Why a name has no address, for the log.
    struct Failure: Error, Equatable {
        let reason: String
    }

    /// The addresses of a host and port, in the order they are to be tried.
    /// - Throws: `Failure`.
    func resolve(host: String, port: String) async throws(Failure) -> [SocketAddress] {
        if let number = UInt16(port), let address = SocketAddress(host: host, port: number) { return [address] }
        let key = "\(host) \(port)"
        let now = LoopThread.clock()
        if let known = answers.withLock({ $0[key] }), known.until > now { return try Self.unpack(known) }
        guard let answer = await pool.run({ Self.ask(host, port) }) else {
            throw Failure(reason: "too many names wait to be resolved")
        }
        answers.withLock { answers in
            if answers.count >= Self.capacity { answers.removeAll() }
            answers[key] = answer
        }
        return try Self.unpack(answer)
    }

    /// The name of one of our own addresses; its digits where it has none. Kept for ever: it is asked for each greeting.
    func name(of address: SocketAddress) async -> String {
        if let known = names.withLock({ $0[address] }) { return known }
        let name = await pool.run { Self.reverse(address) } ?? address.host
        names.withLock { names in
            if names.count >= Self.capacity { names.removeAll() }
            names[address] = name
        }
        return name
    }

    /// The name of one of our own addresses; nil where it has none.
    func knownName(of address: SocketAddress) async -> String? {
        let name = await name(of: address)
        return name == address.host ? nil : name
    }

    private static func unpack(_ answer: Answer) throws(Failure) -> [SocketAddress] {
        guard !answer.addresses.isEmpty else { throw Failure(reason: answer.failure) }
        return answer.addresses
    }

    private static func ask(_ host: String, _ port: String) -> Answer {
        var hints = addrinfo()
        hints.ai_socktype = Int32(linux_STREAM)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, port, &hints, &list)
        defer { if let list { unsafe freeaddrinfo(list) } }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let raw = unsafe entry.pointee.ai_addr {
                let address = SocketAddress(raw, length: unsafe entry.pointee.ai_addrlen)
                if address.kind != .none, !addresses.contains(address) { addresses.append(address) }
            }
            next = unsafe entry.pointee.ai_next
        }
        let failure =
            addresses.isEmpty ? "\(host): \(code == 0 ? "no address" : String(cString: gai_strerror(code)))" : ""
        return Answer(
            addresses: addresses, failure: failure,
            until: LoopThread.clock() + (addresses.isEmpty ? failureLifetime : lifetime))
    }

    private static func reverse(_ address: SocketAddress) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1026) { room in
            guard let text = room.baseAddress else { return address.host }
            let code = address.withSocketAddress { raw, length in
                getnameinfo(raw, length, text, socklen_t(room.count - 1), nil, 0, Int32(NI_NAMEREQD))
            }
            return code == 0 ? String(cString: text) : address.host
        }
    }
}
