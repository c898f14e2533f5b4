import DequeModule
public import Loop

/// Asks a map provider on behalf of the sessions of one loop.
///
/// A few connections are opened as they are needed, and kept. Requests leave at the end of the loop's turn, those of one
/// turn together as long as the map answers quickly, else each on the connection with the fewest under way. Replies
/// come back in order. What a lost connection leaves unanswered is asked again on another one
/// until its deadline: a provider that dies and is started again costs nobody a login.
public final class Client {
    /// A lookup that has not been answered.
    struct Pending {
        let key: [UInt8]
        /// Milliseconds on the loop's clock.
        let deadline: UInt64
        let continuation: UnsafeContinuation<Answer, Never>
    }

    /// Milliseconds between two tries to connect: at first, and at most.
    static let backoff: ClosedRange<UInt64> = 20...500

    /// Milliseconds; while replies take less, requests of one turn share a connection, and one worker of the provider.
    static let quick: UInt64 = 2
    /// Most requests that do so.
    static let company = 16

    let path: String
    let map: [UInt8]
    let thread: LoopThread
    private let deadline: UInt64
    private let limit: Int
    @exclusivity(unchecked) private var connections: [ClientConnection] = []
    /// Lookups that wait for a connection, in order.
    @exclusivity(unchecked) private var waiting = Deque<Pending>()
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
    ///   - thread: the loop of the caller; everything here is called on it.
    public init(
        path: String, map: String = "popmap", deadline milliseconds: UInt64 = 5000, connections: Int = 4,
        on thread: LoopThread
    ) {
        self.path = path
        self.map = Array(map.utf8)
        deadline = milliseconds
        self.limit = max(1, connections)
        self.thread = thread
    }

    /// Looks a key up. It comes back by the deadline, with `.temporary` where there was no answer.
    public func lookUp(_ key: [UInt8]) async -> Answer {
        guard key.count <= Limits.key else { return .permanent("the key is longer than \(Limits.key) bytes") }
        guard !closed else { return .temporary("the proxy is ending") }
        return await withUnsafeContinuation { continuation in
            // The loop's time is that of its last wake-up; a deadline counts from now.
            let now = LoopThread.clock()
            place(Pending(key: key, deadline: now &+ deadline, continuation: continuation), now)
            wake(at: now &+ deadline)
        }
    }

    deinit {
        for connection in connections { _ = connection.close() }
    }

    /// Closes the connections. Lookups under way, and later ones, are answered with `.temporary`.
    public func close() {
        closed = true
        if let timer { thread.cancelTimer(timer.id) }
        timer = nil
        for connection in connections {
            for pending in connection.close() {
                pending.continuation.resume(returning: .temporary("the proxy is ending"))
            }
        }
        connections = []
        while let pending = waiting.popFirst() {
            pending.continuation.resume(returning: .temporary("the proxy is ending"))
        }
    }

    // MARK: Placing

    /// Sends a lookup on the best connection, or lets it wait for one.
    private func place(_ pending: Pending, _ now: UInt64) {
        guard let connection = freest(now) else {
            waiting.append(pending)
            wake(at: retryAt)
            return
        }
        connection.ask(pending)
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
    func answered(_ pending: Pending) {
        pause = Self.backoff.lowerBound
        let asked = pending.deadline &- deadline
        let took = thread.now > asked ? min(thread.now - asked, 10_000) : 0
        age = age - age / 16 + took
    }

    /// A connection is gone. What it left unanswered is asked again, ahead of what waits.
    /// - Parameters:
    ///   - fruitful: whether it brought any answer. One that did not is a reason to take time, lest a provider that
    ///     accepts and hangs up is asked in a busy circle.
    ///   - reason: what to tell those whose deadline comes first.
    func lost(_ connection: ClientConnection, fruitful: Bool, _ reason: String) {
        connections.removeAll { $0 === connection }
        let now = LoopThread.clock()
        let left = connection.close()
        failure = reason
        if !fruitful, !left.isEmpty { backOff(now) }
        for pending in left.reversed() { waiting.prepend(pending) }
        placeWaiting(now)
        schedule()
    }

    private func placeWaiting(_ now: UInt64) {
        // A connection may be lost in `ask`, which puts its lookups back here: so not more than wait now.
        for _ in 0..<waiting.count {
            guard let connection = freest(now), let pending = waiting.popFirst() else { return }
            connection.ask(pending)
        }
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
        for pending in waiting { wake(at: pending.deadline) }
        for connection in connections {
            if let deadline = connection.deadline { wake(at: deadline) }
        }
    }
}

extension Client: TimerTarget {
    /// A deadline has come, or the time to connect again.
    public func timerFired() {
        timer = nil
        let now = LoopThread.clock()
        for pending in waiting where pending.deadline <= now {
            pending.continuation.resume(returning: .temporary(failure))
        }
        waiting.removeAll { $0.deadline <= now }
        // A connection whose provider is stuck is of no use to those behind: they are asked again elsewhere.
        for connection in connections where connection.deadline.map({ $0 <= now }) ?? false {
            connections.removeAll { $0 === connection }
            for pending in connection.close() {
                if pending.deadline <= now {
                    pending.continuation.resume(returning: .temporary("the map did not answer in time"))
                } else {
                    waiting.append(pending)
                }
            }
        }
        placeWaiting(now)
        schedule()
    }
}
