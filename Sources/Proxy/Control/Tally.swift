import Glibc
import Synchronization

/// The counters of one loop: numbers that its thread alone changes, and that anybody reads at any time.
///
/// A plain load, addition and store each, without a lock and without memory: counting a login costs a few nanoseconds.
struct Tally {
    private let row: UnsafeMutablePointer<Atomic<UInt64>>

    init(_ row: UnsafeMutablePointer<Atomic<UInt64>>) {
        self.row = row
    }

    /// Counters nobody reads.
    static func unread() -> Tally { unreadTally.tally }

    /// What is counted one by one; each is the place of its number in the row.
    enum Counter: Int, CaseIterable {
        /// Connections that were accepted.
        case connections
        /// Those that were turned away for a limit.
        case turnedAway
        /// Sessions before their login: a state, not a sum.
        case loggingIn
        /// Sessions that are logged in: a state as well.
        case relaying
        /// Sessions that ended before their login.
        case abandoned
        /// TLS handshakes with clients that failed.
        case handshakeFailures
        /// Bytes from clients to real servers.
        case received
        /// Bytes from real servers to clients.
        case sent
        /// Sessions that were ended by `perditionctl kick`.
        case kicked
        /// Lookups: the map has the key.
        case found
        /// The map does not have it.
        case absent
        /// The map could not tell.
        case unavailable
        /// An answer from memory, fresh.
        case fresh
        /// An answer from memory, as the map could not be asked.
        case stale
    }

    /// What is measured.
    enum Time: Int, CaseIterable {
        /// From credentials to the real server's name.
        case lookup
        /// From there to a connection with it, addresses that did not answer included.
        case connect
        /// From credentials to the client's good news.
        case login
    }

    /// The upper bounds of the parts of a histogram, in microseconds; one more part has no bound.
    static let bounds: [UInt64] = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000, 30_000_000,
    ]

    /// TLS versions, the first for none; OpenSSL's number of the others counts up from TLS 1.0.
    static let versions = ["none", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]

    /// What has become of logins, in the words of a label.
    static let outcomes = [
        "ok", "wrong_password", "server_unavailable", "no_server", "map_unavailable", "not_connected", "negotiation",
        "login_disabled", "tls_missing", "no_mechanism", "local_authentication", "authentication_unavailable",
        "too_many_sessions",
    ]

    // MARK: Places

    private static let loginsStart = Counter.allCases.count
    private static let versionsStart = loginsStart + ProtocolName.allCases.count * outcomes.count
    private static let timesStart = versionsStart + 2 * versions.count
    private static let timeSize = bounds.count + 2
    /// Numbers in a row, filled up to whole lines of the processor's cache.
    static let size = (timesStart + Time.allCases.count * timeSize + 7) / 8 * 8
    /// The places of states, which mean nothing once their process has ended.
    static let states = [Counter.loggingIn.rawValue, Counter.relaying.rawValue]

    /// The place of a counter.
    static func place(_ counter: Counter) -> Int { counter.rawValue }
    /// The place of logins of a protocol with an outcome.
    static func place(_ protocolNumber: Int, outcome: Int) -> Int {
        loginsStart + protocolNumber * outcomes.count + outcome
    }
    /// The place of sessions with a version of TLS.
    static func place(version: Int, isServer: Bool) -> Int {
        versionsStart + (isServer ? versions.count : 0) + version
    }
    /// The place of a part of a histogram; behind the parts stands the sum, in microseconds.
    static func place(_ time: Time, part: Int) -> Int { timesStart + time.rawValue * timeSize + part }

    // MARK: Counting

    /// Adds to a counter.
    func add(_ counter: Counter, _ amount: UInt64 = 1) { add(amount, at: counter.rawValue) }

    /// Takes one from a state.
    func subtract(_ counter: Counter) { add(.max, at: counter.rawValue) }

    /// Counts a login that has come to an end.
    // Not inlined: its variables would become a part of suspended functions.
    @inline(never)
    func login(_ name: ProtocolName, _ refusal: Refusal?) {
        add(1, at: Self.place(name.number, outcome: refusal?.number ?? 0))
    }

    /// Counts a session by what protects it.
    // Not inlined: its variables would become a part of suspended functions.
    @inline(never)
    func session(clientTLS: Int, serverTLS: Int) {
        add(1, at: Self.place(version: clientTLS, isServer: false))
        add(1, at: Self.place(version: serverTLS, isServer: true))
    }

    /// Takes a measurement that has just ended.
    /// - Returns: now, for the next.
    // Not inlined: its variables would become a part of suspended functions.
    @inline(never)
    @discardableResult
    func measure(_ time: Time, since start: UInt64) -> UInt64 {
        let now = Self.clock()
        let span = now &- min(start, now)
        var part = 0
        while part < Self.bounds.count, span > Self.bounds[part] { part += 1 }
        add(1, at: Self.place(time, part: part))
        add(span, at: Self.place(time, part: Self.bounds.count + 1))
        return now
    }

    /// Microseconds on the monotonic clock.
    // Not inlined: its variables would become a part of suspended functions.
    @inline(never)
    static func clock() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec) / 1_000
    }

    private func add(_ amount: UInt64, at place: Int) {
        guard place < Self.size else { return }
        row[place].store(row[place].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }
}

/// A row that is written and never read, for sessions outside of a worker.
private let unreadTally = UnreadTally()

private struct UnreadTally: Sendable {
    private let address: UInt

    init() {
        let row = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: Tally.size)
        for place in 0..<Tally.size { (row + place).initialize(to: Atomic(0)) }
        address = UInt(bitPattern: row)
    }

    var tally: Tally {
        guard let row = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: address) else { preconditionFailure() }
        return Tally(row)
    }
}

extension ProtocolName {
    /// Its place among all.
    var number: Int {
        switch self {
        case .pop3: 0
        case .imap4: 1
        case .pop3s: 2
        case .imap4s: 3
        case .managesieve: 4
        }
    }
}

extension Refusal {
    /// Its place among the outcomes of logins.
    var number: Int {
        switch self {
        case .authentication, .token: 1
        case .realServerUnavailable: 2
        case .noServer: 3
        case .mapUnavailable: 4
        case .notConnected: 5
        case .negotiation: 6
        case .loginDisabled: 7
        case .tlsMissing: 8
        case .noMechanism: 9
        case .localAuthentication: 10
        case .authenticationUnavailable: 11
        case .tooManySessions: 12
        }
    }
}
