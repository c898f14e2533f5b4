import Loop

/// What the real servers of one loop have said they can do, so that it need not be asked for each login.
final class CapabilityMemory {
    /// Milliseconds an answer is good for.
    static let lifetime: UInt64 = 300_000
    /// Most servers remembered.
    static let capacity = 4096

    private let thread: LoopThread
    @exclusivity(unchecked) private var known: [SocketAddress: (capabilities: [[UInt8]], until: UInt64)] = [:]

    /// A memory that knows nothing.
    init(_ thread: LoopThread) {
        self.thread = thread
    }

    /// What a server said lately; nil where it must be asked.
    func capabilities(of server: SocketAddress) -> [[UInt8]]? {
        guard let entry = known[server], entry.until > thread.now else { return nil }
        return entry.capabilities
    }

    /// Takes note of an answer.
    func remember(_ capabilities: [[UInt8]], of server: SocketAddress) {
        if known.count >= Self.capacity { known.removeAll() }
        known[server] = (capabilities, thread.now &+ Self.lifetime)
    }
}
