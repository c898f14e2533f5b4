import DequeModule
public import Loop
import PopmapTable

/// Asks a map provider on behalf of the sessions of one loop.
///
/// A few connections are opened as they are needed, and kept. Requests leave at the end of the loop's turn, those of one
/// turn together as long as the map answers quickly, else each on the connection with the fewest under way. Replies
/// come back in order. What a lost connection leaves unanswered is asked again on another one until its deadline: a
/// provider that dies and is started again costs nobody a login.
///
/// A connection that stays silent for most of that time is retired: what it owes is asked on another one as well, early
/// enough for a second try. It is not closed, since a late answer is an answer yet, and a sign of life: a provider that
/// gives none at all on any connection is reported to its `Pulse`.
public final class Client {
    /// Milliseconds between two tries to connect: at first, and at most.
    static let backoff: ClosedRange<UInt64> = 20...500

    /// Retired connections for each that is in use; beyond, nothing is gained by asking once more.
    static let retiredPerConnection = 4
    /// Milliseconds of silence after which nothing is expected from a connection any more. It is long, since a provider
    /// that works on a lookup would show no sign of life where its answer is not taken.
    static let longestSilence: UInt64 = 60_000
    /// Milliseconds; while replies take less, requests of one turn share a connection, and one worker of the provider.
    static let quick: UInt64 = 2
    /// Most requests that do so.
    static let company = 16

    let path: String
    let map: [UInt8]
    let thread: LoopThread
    let pulse: Pulse
    private let keeper: TableKeeper?
    /// What the keeper had when it was last looked at.
    @exclusivity(unchecked) private var table: PopmapTable?
    @exclusivity(unchecked) private var tableVersion = 0
    /// When it was last found to be right, on the loop's clock.
    @exclusivity(unchecked) private var tableSeen: UInt64 = 0
    /// And in which turn of the loop.
    @exclusivity(unchecked) private var tableTurn: UInt64 = 0
    private let deadline: UInt64
    private let limit: Int
    @exclusivity(unchecked) private var connections: [ClientConnection] = []
    /// Connections that get no more lookups and owe answers, the oldest first.
    @exclusivity(unchecked) private var retired: [ClientConnection] = []
    /// Lookups that wait for a connection, in order.
    @exclusivity(unchecked) private var waiting = Deque<PendingLookup>()
    /// Fires at the next deadline, or where a connection may be tried again.
    @exclusivity(unchecked) private var timer: (id: TimerID, at: UInt64)?
    /// Not before this time is a connection opened again; and the pause after the next failure.
    @exclusivity(unchecked) private var retryAt: UInt64 = 0
    @exclusivity(unchecked) private var pause = backoff.lowerBound
    private var failure = "not connected"
    /// How long replies took of late, in sixteenths of a millisecond.
    @exclusivity(unchecked) private var age: UInt64 = 0
    @exclusivity(unchecked) private var closed = false

    /// A client that connects with its first lookup.
    /// - Parameters:
    ///   - path: the Unix socket of the provider.
    ///   - map: the name of the map, the first word of each request.
    ///   - milliseconds: the time after which a lookup is given up.
    ///   - connections: how many there are at most.
    ///   - pulse: what the clients of all loops know of this provider; nil for one that nobody else asks.
    ///   - tables: of this map, for all loops; nil for a map that is asked each time.
    ///   - thread: the loop of the caller; everything here is called on it.
    public init(
        path: String, map: String = "popmap", deadline milliseconds: UInt64 = 5000, connections: Int = 4,
        pulse: Pulse? = nil, tables keeper: TableKeeper? = nil, on thread: LoopThread
    ) {
        self.path = path
        self.map = Array(map.utf8)
        self.pulse = pulse ?? Pulse(patience: milliseconds / 5 * 3) { _ in }
        self.keeper = keeper
        deadline = milliseconds
        self.limit = max(1, connections)
        self.thread = thread
    }

    /// The answer where it can be had without asking the provider; else nil.
    public func answerAtOnce(_ key: [UInt8]) -> Answer? {
        guard let keeper else { return nil }
        if keeper.version != tableVersion {
            (table, tableVersion) = keeper.current
            tableSeen = 0
            tableTurn = 0
        }
        if let table {
            // Once in a turn: whoever is served in it has asked before, or at most as long ago as a turn takes.
            if tableTurn == thread.turn || table.isCurrent {
                tableSeen = thread.now
                tableTurn = thread.turn
                switch table.find(key) {
                case .value(let value): return .found(value)
                case .absent: return .notFound
                case .unknown: return nil
                }
            }
            keeper.drop(table, seen: tableSeen)
        }
        keeper.missed(thread.now)
        return nil
    }

    /// What a table that is out of date said of a key, and when that was right, on the loops' clock: for times in which the
    /// provider cannot tell. Nil where there is no such table, or nothing in it to go by.
    public func recall(_ key: [UInt8]) -> (value: [UInt8]?, time: UInt64)? {
        guard let (finding, time) = keeper?.recall(key) else { return nil }
        switch finding {
        case .value(let value): return (value, time)
        case .absent: return (nil, time)
        case .unknown: return nil
        }
    }

    /// Looks a key up. It comes back by the deadline, with `.temporary` where there was no answer.
    public func lookUp(_ key: [UInt8]) async -> Answer {
        guard key.count <= Limits.key else { return .permanent("the key is longer than \(Limits.key) bytes") }
        guard !closed else { return .temporary("the proxy is ending") }
        return await withUnsafeContinuation { continuation in
            // The loop's time is that of its last wake-up; a deadline counts from now.
            let now = LoopThread.clock()
            place(PendingLookup(key, asked: now, deadline: now &+ deadline, continuation), now)
            wake(at: now &+ min(deadline, pulse.patience))
        }
    }

    deinit {
        for connection in connections + retired { _ = connection.close() }
    }

    /// Closes the connections. Lookups under way, and later ones, are answered with `.temporary`.
    public func close() {
        closed = true
        if let timer { thread.cancelTimer(timer.id) }
        timer = nil
        let left = (connections + retired).flatMap { $0.close() } + waiting
        connections = []
        retired = []
        waiting = []
        for lookup in left { lookup.answer(.temporary("the proxy is ending")) }
    }

    // MARK: Placing

    /// Sends a lookup on the best connection, or lets it wait for one.
    private func place(_ lookup: PendingLookup, _ now: UInt64) {
        guard let connection = freest(now) else {
            waiting.append(lookup)
            wake(at: retryAt)
            return
        }
        connection.ask(lookup, now)
    }

    /// The connection with the fewest lookups under way; a new one where all have some and there may be more.
    private func freest(_ now: UInt64) -> ClientConnection? {
        if age < Self.quick * 16,
            let gathering = connections.first(where: { (1..<Self.company).contains($0.gathered) })
        {
            return gathering
        }
        let best = connections.min { $0.count < $1.count }
        if let best, best.count == 0 || connections.count >= limit || now < retryAt { return best }
        return open(now) ?? best
    }

    private func open(_ now: UInt64) -> ClientConnection? {
        guard now >= retryAt else { return nil }
        do {
            let connection = try ClientConnection(self)
            connections.append(connection)
            return connection
        } catch {
            failure = "cannot connect to \(path): \(error)"
            backOff(now)
            return nil
        }
    }

    private func backOff(_ now: UInt64) {
        retryAt = now &+ pause
        pause = min(pause * 2, Self.backoff.upperBound)
    }

    // MARK: What connections report

    /// A reply came: the provider is well.
    func answered(_ lookup: PendingLookup, on connection: ClientConnection) {
        pause = Self.backoff.lowerBound
        pulse.answered(thread.now)
        age = age - age / 16 + (thread.now > lookup.asked ? min(thread.now - lookup.asked, 10_000) : 0)
        guard connection.isRetired, connection.count == 0 else { return }
        retired.removeAll { $0 === connection }
        _ = connection.close()
    }

    /// A connection is gone. What it left unanswered is asked again, ahead of what waits.
    /// - Parameters:
    ///   - fruitful: whether it brought any answer. One that did not is a reason to take time, lest a provider that
    ///     accepts and hangs up is asked in a busy circle.
    ///   - reason: what to tell those whose deadline comes first.
    func lost(_ connection: ClientConnection, fruitful: Bool, _ reason: String) {
        connections.removeAll { $0 === connection }
        retired.removeAll { $0 === connection }
        let now = LoopThread.clock()
        let left = connection.close()
        // What a retired one owes has been asked elsewhere.
        guard !connection.isRetired else { return }
        failure = reason
        if !fruitful, !left.isEmpty { backOff(now) }
        for lookup in left.reversed() where !lookup.isDone { waiting.prepend(lookup) }
        placeWaiting(now)
        schedule()
    }

    private func placeWaiting(_ now: UInt64) {
        // A connection may be lost in `ask`, which puts its lookups back here: so not more than wait now.
        for _ in 0..<waiting.count {
            guard let connection = freest(now), let lookup = waiting.popFirst() else { return }
            if !lookup.isDone { connection.ask(lookup, now) }
        }
    }

    /// Asks what a connection owes on another one as well.
    private func retire(_ connection: ClientConnection) {
        guard retired.count < limit * Self.retiredPerConnection else { return }
        connections.removeAll { $0 === connection }
        connection.isRetired = true
        retired.append(connection)
        // Whoever it was that is stuck must not take company along again.
        age = max(age, Self.quick * 16)
        waiting.append(contentsOf: connection.unanswered)
    }

    // MARK: Time

    /// Has the timer fire at the given time or before. One that fires early looks again, which costs less than setting
    /// it anew with each lookup.
    private func wake(at time: UInt64) {
        if let timer {
            if timer.at <= time { return }
            thread.cancelTimer(timer.id)
        }
        timer = (thread.setTimer(self, after: time > thread.now ? time - thread.now : 0), time)
    }

    private func schedule() {
        if !waiting.isEmpty { wake(at: retryAt) }
        for lookup in waiting { wake(at: lookup.deadline) }
        // What is overdue already is looked at from time to time.
        let soon = LoopThread.clock() &+ pulse.interval
        for connection in connections + retired {
            if let deadline = connection.deadline { wake(at: deadline) }
            let patience = connection.isRetired ? longestSilence : pulse.patience
            if let silence = connection.silence { wake(at: max(silence &+ patience, soon)) }
        }
        if let asked { wake(at: max(asked &+ pulse.patience, soon)) }
    }

    /// Since when the oldest lookup has waited.
    private var asked: UInt64? {
        ((connections + retired).compactMap(\.asked) + waiting.map(\.asked)).min()
    }

    private var longestSilence: UInt64 { max(Self.longestSilence, deadline &* 2) }
}

extension Client: TimerTarget {
    /// A deadline has come, or the time to connect again.
    public func timerFired() {
        timer = nil
        let now = LoopThread.clock()
        var late = Set<ObjectIdentifier>()
        for connection in connections + retired where connection.giveUp(now) {
            late.insert(ObjectIdentifier(connection))
        }
        for lookup in waiting where lookup.deadline <= now { lookup.answer(.temporary(failure)) }
        waiting.removeAll(where: \.isDone)
        if let asked { pulse.check(asked: asked, now: now) }
        for connection in connections + retired {
            let silence = connection.silence.map { now > $0 ? now - $0 : 0 } ?? 0
            if silence >= longestSilence {
                connections.removeAll { $0 === connection }
                retired.removeAll { $0 === connection }
                let left = connection.close()
                if !connection.isRetired { waiting.append(contentsOf: left.filter { !$0.isDone }) }
            } else if !connection.isRetired,
                silence >= pulse.patience || late.contains(ObjectIdentifier(connection))
            {
                // Of no use to those behind.
                retire(connection)
            }
        }
        placeWaiting(now)
        schedule()
    }
}
