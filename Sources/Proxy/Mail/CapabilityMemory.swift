import Loop

/// What the real servers of one loop have said they can do, so that it need not be asked for each login.
final class CapabilityMemory {
    /// A server, and whether it was asked inside TLS, where it may say something else.
    struct Server: Hashable {
        var address: SocketAddress
        var isPrivate: Bool
    }

    /// Milliseconds an answer is good for.
    static let lifetime: UInt64 = 300_000
    /// Most servers remembered, of each kind.
    static let capacity = 4096

    private let thread: LoopThread
    @exclusivity(unchecked) private var known: [Server: (capabilities: [[UInt8]], until: UInt64)] = [:]
    @exclusivity(unchecked) private var ways: [Server: (way: POP3Way, until: UInt64)] = [:]

    /// A memory that knows nothing.
    init(_ thread: LoopThread) {
        self.thread = thread
    }

    /// What a server said lately; nil where it must be asked.
    func capabilities(of server: Server) -> [[UInt8]]? {
        guard let entry = known[server], entry.until > thread.now else { return nil }
        return entry.capabilities
    }

    /// Takes note of an answer.
    func remember(_ capabilities: [[UInt8]], of server: Server) {
        if known.count >= Self.capacity { known.removeAll() }
        known[server] = (capabilities, thread.now &+ Self.lifetime)
    }

    /// How a server of POP3 takes logins; nil where it must be asked.
    func way(to server: Server) -> POP3Way? {
        guard let entry = ways[server], entry.until > thread.now else { return nil }
        return entry.way
    }

    /// Takes note of how a server of POP3 takes logins, for so many milliseconds.
    func remember(_ way: POP3Way, to server: Server, for lifetime: UInt64) {
        if ways.count >= Self.capacity { ways.removeAll() }
        ways[server] = (way, thread.now &+ lifetime)
    }

    /// Has a server of POP3 asked anew.
    func forgetWay(to server: Server) {
        ways[server] = nil
    }
}
