import Logging
import Loop
import Synchronization

/// Who may come in: the limits for each client address and each user, and how long a failed login waits for its answer.
///
/// Shared by all loops. Clients of `--trusted_networks` are not counted and cost nothing here, nor do any where there is
/// no limit.
final class Door: Sendable {
    /// Failures after which the pause doubles, and after which it doubles again.
    static let failuresPerDoubling = 5
    /// Addresses without connections whose failures are remembered.
    static let memory = 65_536
    /// Parts of the table with a lock each.
    private static let shardCount = 8

    private final class Shard: Sendable {
        let origins = Mutex(OriginTable(idleLimit: Door.memory / Door.shardCount))
        /// Sessions of each user, by a hash of the name that nobody outside can foresee.
        let users = Mutex<[Int: Int]>([:])
    }

    private let connectionsPerAddress: Int
    private let loginsPerAddress: Int
    private let sessionsPerUser: Int
    private let pause: UInt64
    private let longestPause: UInt64
    private let trusted: [Network]
    private let shards = (0..<shardCount).map { _ in Shard() }
    private let crowding: Notice
    private let users: Notice

    /// A door for one set of options.
    /// - Parameter pause: milliseconds between a fault and the answer to it.
    init(_ options: Options, pause: UInt64, log: Logger) {
        connectionsPerAddress = options.connectionsPerAddress
        loginsPerAddress = options.loginsPerAddress
        sessionsPerUser = options.sessionsPerUser
        trusted = options.trustedNetworks
        self.pause = pause
        longestPause = max(pause, UInt64(clamping: options.failureDelayLimit) &* 1000)
        crowding = Notice(log)
        users = Notice(log)
    }

    /// As whom to count a client; nil for not at all.
    func origin(of peer: SocketAddress) -> Origin? {
        guard connectionsPerAddress > 0 || loginsPerAddress > 0 || sessionsPerUser > 0 || longestPause > pause,
            let origin = Origin(peer), !trusted.contains(where: { $0.contains(peer) })
        else { return nil }
        return origin
    }

    // MARK: Connections

    /// Lets a connection in, to be followed by `leave`, or not.
    func enter(_ origin: Origin?, _ peer: SocketAddress, now: UInt64) -> Bool {
        guard let origin else { return true }
        let verdict = shard(origin.hashValue).origins.withLock {
            $0.enter(origin, connections: connectionsPerAddress, logins: loginsPerAddress)
        }
        switch verdict {
        case .welcome: return true
        case .tooManyConnections:
            crowding.say(now) { more in
                "Client \(peer.host) has \(connectionsPerAddress) connections (--connections_per_address): one more was "
                    + "turned away\(more)"
            }
        case .tooManyLogins:
            crowding.say(now) { more in
                "Client \(peer.host) has \(loginsPerAddress) connections that have not logged in (--logins_per_address): "
                    + "one more was turned away\(more)"
            }
        }
        return false
    }

    /// A connection that was let in has logged in.
    func logIn(_ origin: Origin?) {
        guard let origin else { return }
        shard(origin.hashValue).origins.withLock { $0.logIn(origin) }
    }

    /// A connection that was let in has ended.
    /// - Parameter waiting: whether it had not logged in.
    func leave(_ origin: Origin?, waiting: Bool, now: UInt64) {
        guard let origin else { return }
        shard(origin.hashValue).origins.withLock { $0.leave(origin, waiting: waiting, now: now) }
    }

    /// A login has failed.
    /// - Returns: milliseconds until the client is to hear of it.
    func fail(_ origin: Origin?, now: UInt64) -> UInt64 {
        guard let origin, longestPause > pause else { return pause }
        let failures = shard(origin.hashValue).origins.withLock { $0.fail(origin, now: now) }
        return Self.pause(pause, after: failures, atMost: longestPause)
    }

    /// The pause after so many failures: it doubles with every fifth.
    static func pause(_ first: UInt64, after failures: Int, atMost limit: UInt64) -> UInt64 {
        let doublings = UInt64(min(max(failures, 0) / failuresPerDoubling, 16))
        return min(first &* (1 << doublings), limit)
    }

    // MARK: Users

    /// A user with a session, to be given back to `leave`.
    struct Guest: Equatable {
        fileprivate let hash: Int
    }

    /// What came of a login that succeeded.
    enum Reception: Equatable {
        /// Welcome, and counted or not.
        case welcome(Guest?)
        case tooMany
    }

    /// Counts a session of a user, unless that were too many.
    /// - Parameter name: the name that decides about the mailbox; upper and lower case are one.
    func receive(_ name: [UInt8], _ origin: Origin?, now: UInt64) -> Reception {
        guard sessionsPerUser > 0, origin != nil else { return .welcome(nil) }
        var hasher = Hasher()
        for byte in name { hasher.combine(ASCII.lower(byte)) }
        let guest = Guest(hash: hasher.finalize())
        let isWelcome = shard(guest.hash).users.withLock { users in
            guard users[guest.hash, default: 0] < sessionsPerUser else { return false }
            users[guest.hash, default: 0] += 1
            return true
        }
        if isWelcome { return .welcome(guest) }
        users.say(now) { more in
            "User \"\(Printable.escaped(name))\" has \(sessionsPerUser) sessions (--sessions_per_user): one more was "
                + "refused\(more)"
        }
        return .tooMany
    }

    /// A session of a user has ended.
    func leave(_ guest: Guest?) {
        guard let guest else { return }
        shard(guest.hash).users.withLock { users in
            guard let count = users[guest.hash] else { return }
            users[guest.hash] = count > 1 ? count - 1 : nil
        }
    }

    /// Users and addresses that are counted or remembered.
    var counted: (origins: Int, users: Int) {
        shards.reduce(into: (0, 0)) { sum, shard in
            sum.0 += shard.origins.withLock { $0.count }
            sum.1 += shard.users.withLock { $0.count }
        }
    }

    private func shard(_ hash: Int) -> Shard {
        shards[Int(UInt(bitPattern: hash) % UInt(shards.count))]
    }
}
