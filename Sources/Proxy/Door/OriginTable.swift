/// How many connections each client address has, and how many logins of it have failed of late.
///
/// An address with connections always has a place; there are no more of these than connections. Of those without, the
/// table remembers the failures of so many as it may, and forgets the one that left first. All of it takes constant time.
struct OriginTable {
    /// Milliseconds after which one failure is forgotten.
    static let forgetInterval: UInt64 = 30_000
    /// Most failures that count: so many that it takes ten minutes to be taken for a newcomer again.
    static let failureLimit = 20

    /// Whether one more connection may come.
    enum Verdict: Equatable {
        case welcome
        /// `--connections_per_address`
        case tooManyConnections
        /// `--logins_per_address`
        case tooManyLogins
    }

    private struct Entry {
        var origin: Origin
        var open = 0
        var waiting = 0
        var failures = 0
        /// Up to when failures have been forgotten.
        var forgottenAt: UInt64 = 0
        /// Neighbours among the idle, who left earlier and later.
        var earlier: Int?
        var later: Int?
    }

    private let idleLimit: Int
    private var places: [Origin: Int] = [:]
    private var entries: [Entry] = []
    private var free: [Int] = []
    private var firstIdle: Int?
    private var lastIdle: Int?
    private(set) var idleCount = 0

    /// Addresses in the table.
    var count: Int { places.count }

    /// A table that remembers so many addresses that have no connections.
    init(idleLimit: Int) {
        self.idleLimit = idleLimit
    }

    /// Counts one more connection, unless that were too many.
    /// - Parameters:
    ///   - connections: most connections of one address; 0 for no limit.
    ///   - logins: most of them that have not logged in; 0 for no limit.
    mutating func enter(_ origin: Origin, connections: Int, logins: Int) -> Verdict {
        let place = place(of: origin)
        if connections > 0, entries[place].open >= connections { return .tooManyConnections }
        if logins > 0, entries[place].waiting >= logins { return .tooManyLogins }
        if entries[place].open == 0 { takeFromIdle(place) }
        entries[place].open += 1
        entries[place].waiting += 1
        return .welcome
    }

    /// One of its connections has logged in.
    mutating func logIn(_ origin: Origin) {
        guard let place = places[origin], entries[place].waiting > 0 else { return }
        entries[place].waiting -= 1
    }

    /// One of its connections has ended.
    /// - Parameter waiting: whether it had not logged in.
    mutating func leave(_ origin: Origin, waiting: Bool, now: UInt64) {
        guard let place = places[origin], entries[place].open > 0 else { return }
        entries[place].open -= 1
        if waiting, entries[place].waiting > 0 { entries[place].waiting -= 1 }
        guard entries[place].open == 0 else { return }
        forget(place, now)
        guard entries[place].failures > 0 else { return drop(place) }
        addToIdle(place, now)
    }

    /// One of its logins has failed.
    /// - Returns: how many have, less those that are forgotten.
    mutating func fail(_ origin: Origin, now: UInt64) -> Int {
        guard let place = places[origin] else { return 1 }
        forget(place, now)
        entries[place].failures = min(entries[place].failures + 1, Self.failureLimit)
        return entries[place].failures
    }

    private mutating func place(of origin: Origin) -> Int {
        if let place = places[origin] { return place }
        let place: Int
        if let last = free.popLast() {
            place = last
            entries[place] = Entry(origin: origin)
        } else {
            place = entries.count
            entries.append(Entry(origin: origin))
        }
        places[origin] = place
        return place
    }

    private mutating func drop(_ place: Int) {
        places[entries[place].origin] = nil
        free.append(place)
    }

    private mutating func forget(_ place: Int, _ now: UInt64) {
        guard entries[place].failures > 0, now > entries[place].forgottenAt else {
            entries[place].forgottenAt = max(entries[place].forgottenAt, now)
            return
        }
        let count = (now - entries[place].forgottenAt) / Self.forgetInterval
        entries[place].failures = count < UInt64(entries[place].failures) ? entries[place].failures - Int(count) : 0
        entries[place].forgottenAt += count * Self.forgetInterval
    }

    // MARK: The idle

    private mutating func addToIdle(_ place: Int, _ now: UInt64) {
        // Whoever is forgotten by now, or one too many.
        for _ in 0..<2 {
            guard let first = firstIdle else { break }
            forget(first, now)
            guard idleCount >= idleLimit || entries[first].failures == 0 else { break }
            takeFromIdle(first)
            drop(first)
        }
        guard idleLimit > 0 else { return drop(place) }
        entries[place].earlier = lastIdle
        entries[place].later = nil
        if let lastIdle { entries[lastIdle].later = place } else { firstIdle = place }
        lastIdle = place
        idleCount += 1
    }

    /// Does nothing to one that is not idle.
    private mutating func takeFromIdle(_ place: Int) {
        let (earlier, later) = (entries[place].earlier, entries[place].later)
        guard earlier != nil || later != nil || firstIdle == place else { return }
        if let earlier { entries[earlier].later = later } else { firstIdle = later }
        if let later { entries[later].earlier = earlier } else { lastIdle = earlier }
        entries[place].earlier = nil
        entries[place].later = nil
        idleCount -= 1
    }
}
