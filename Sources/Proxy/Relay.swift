import Logging
import Loop
import Synchronization

/// A logged-in session: bytes both ways until both ends are done or idle too long. It has no task; the loop calls it.
final class Relay: ChannelHandler, TimerTarget, Visitor {
    /// What is needed to write the session's last line, and to repeat its Auth line.
    struct Account {
        /// The log, the options, and whose count of sessions goes down.
        let services: Services
        /// The fields of the lines.
        let record: LoginRecord
        /// Where bytes are counted.
        var tally = Tally.unread()
    }

    /// Milliseconds a client gets to close its end after the real server has closed its own.
    static let farewellTime: UInt64 = 5_000

    private let client: Stream
    private let server: Stream
    private let account: Account
    /// Milliseconds without a byte after which the session ends; nil for never.
    private let timeout: UInt64?
    @exclusivity(unchecked) private var up: Flow
    @exclusivity(unchecked) private var down: Flow
    @exclusivity(unchecked) private var lastActivity: UInt64
    /// When it began, on the loop's clock.
    private let since: UInt64
    /// When the Auth line is due again (`--connect_relog`), on the loop's clock; nil for never.
    @exclusivity(unchecked) private var relogAt: UInt64?
    @exclusivity(unchecked) private var timer: TimerID?
    @exclusivity(unchecked) private var finished = false
    /// Whether the real server is done and the client has been told.
    @exclusivity(unchecked) private var farewell = false
    @exclusivity(unchecked) var place: Int32 = 0
    /// What the client hears last when the session was idle too long; nil for nothing.
    @exclusivity(unchecked) var idleFarewell: [UInt8]?
    /// Called once, when the session is over.
    @exclusivity(unchecked) var onEnd: ((Relay) -> Void)?

    /// A relay that takes over both streams with what they have read already.
    init(client: Stream, server: Stream, timeout: UInt64?, account: Account) {
        self.client = client
        self.server = server
        self.timeout = timeout
        self.account = account
        up = Flow(leftover: client.takeRest())
        down = Flow(leftover: server.takeRest())
        lastActivity = client.channel.thread.now
        since = lastActivity
        if relogInterval > 0 { relogAt = lastActivity &+ relogInterval }
    }

    private var relogInterval: UInt64 { UInt64(clamping: account.services.options.connectRelog) &* 1000 }

    /// Bytes read and not passed on yet, in both directions.
    var waiting: Int { up.waiting + down.waiting }

    private var thread: LoopThread { client.channel.thread }

    /// Starts moving bytes.
    func start() {
        client.channel.handler = self
        server.channel.handler = self
        setTimer()
        move()
    }

    /// One of the two channels has news.
    func channelReady(_ channel: Channel) {
        move()
    }

    /// Ends the session, as when the program stops.
    func stop() {
        finish(nil)
    }

    private func move() {
        guard !finished else { return }
        let (upBefore, downBefore) = (up.count, down.count)
        let upward = up.run(from: client, to: server, closing: down.ended)
        let isLast = up.ended || isAnswered
        let downward = down.run(from: server, to: client, closing: isLast)
        if up.count != upBefore || down.count != downBefore {
            lastActivity = thread.now
            account.tally.add(.received, up.count &- upBefore)
            account.tally.add(.sent, down.count &- downBefore)
        }
        switch (upward, downward) {
        case (.failed, _), (_, .failed): finish("Fatal error piping data. Exiting child.")
        case (_, .ended) where isLast: finish(nil)
        case (.yielded, _), (_, .yielded): thread.again(client.channel)
        case (_, .ended):
            // Once: the shorter limit holds from now on.
            guard !farewell else { break }
            farewell = true
            if let timer { thread.cancelTimer(timer) }
            setTimer()
        default: break
        }
    }

    /// Whether an end of the real server's side now would be its answer to the client's goodbye, behind which nothing
    /// comes. A client that said none may be in the middle of a command, and a closed connection would answer that with
    /// a reset, which can cost the client the real server's last words.
    private var isAnswered: Bool { !down.ended && up.endsInGoodbye && up.isClear && !client.channel.readable }

    /// Milliseconds without a byte that end the session: few once the real server is done, as there is nothing left that
    /// the client could be waiting for.
    private var idleLimit: UInt64? {
        guard down.ended else { return timeout }
        return min(timeout ?? Self.farewellTime, Self.farewellTime)
    }

    /// One timer for both: the end of the idle time, which activity only moved, and the next Auth line.
    private func setTimer() {
        let idleAt = idleLimit.map { lastActivity &+ $0 }
        guard let first = idleAt ?? relogAt else { return }
        let next = min(first, relogAt ?? first)
        timer = thread.setTimer(self, after: next - min(next, thread.now))
    }

    /// The idle time may be over, or the Auth line due.
    func timerFired() {
        timer = nil
        guard !finished else { return }
        if let idleLimit, thread.now - min(lastActivity, thread.now) >= idleLimit {
            if !down.ended { account.services.log.info("Timeout piping data.") }
            // In the middle of something else it would only be taken for a part of that.
            if let idleFarewell, down.isClear { _ = idleFarewell.withUnsafeBytes { client.write($0) } }
            return finish(nil)
        }
        if let due = relogAt, due <= thread.now {
            account.record.writeAuth("ok", to: account.services.lines)
            relogAt = thread.now &+ relogInterval
        }
        setTimer()
    }

    private func finish(_ fault: String?) {
        guard !finished else { return }
        finished = true
        if let timer { thread.cancelTimer(timer) }
        timer = nil
        // Ahead of the close: whoever waits for that finds the line.
        if let fault { account.services.log.error("\(fault)") }
        account.record.writeClosing(received: up.count, sent: down.count, to: account.services.lines)
        client.close()
        server.close()
        account.services.sessions.subtract(1, ordering: .relaxed)
        onEnd?(self)
        onEnd = nil
    }

    // MARK: What the administrator asks

    /// What there is to see.
    var entry: SessionEntry? {
        guard !finished else { return nil }
        var entry = SessionEntry(.relaying, account.record.protocolName, route: account.record.route)
        entry.user = account.record.user
        entry.authentication = account.record.authentication
        entry.server = account.record.server
        entry.clientTLS = Tally.versions[client.grade]
        entry.serverTLS = Tally.versions[server.grade]
        entry.age = thread.now &- since
        entry.received = up.count
        entry.sent = down.count
        return entry
    }

    /// Ends it where it is this user's.
    func kick(_ names: [String]) -> Bool {
        guard !finished, names.contains(account.record.user) || names.contains(account.record.authentication)
        else { return false }
        // In the middle of something else it would only be taken for a part of that.
        let isIdle = down.isClear && thread.now &- lastActivity >= Self.quiet
        if isIdle, account.record.protocolName.takesWordsUnasked {
            let words = Farewell.bytes("Your session was ended by the administrator", account.record.protocolName)
            _ = words.withUnsafeBytes { client.write($0) }
        }
        finish(nil)
        return true
    }

    /// Milliseconds without a byte after which no response is under way.
    private static let quiet: UInt64 = 1000
}
