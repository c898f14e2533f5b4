import Logging
import Loop
import Synchronization

/// A logged-in session: bytes both ways until both ends are done or idle too long. It has no task; the loop calls it.
final class Relay: ChannelHandler, TimerTarget, Visitor {
    /// What is needed to write the session's last line.
    struct Account {
        /// Where it goes.
        let log: Logger
        /// `A->B` and the names.
        let label: String
        /// Whose count of sessions goes down.
        let services: Services
    }

    private let client: Stream
    private let server: Stream
    private let account: Account
    /// Milliseconds without a byte after which the session ends; nil for never.
    private let timeout: UInt64?
    private var up: Flow
    private var down: Flow
    private var lastActivity: UInt64
    private var timer: TimerID?
    private var finished = false
    /// Called once, when the session is over.
    var onEnd: ((Relay) -> Void)?

    /// A relay that takes over both streams with what they have read already.
    init(client: Stream, server: Stream, timeout: UInt64?, account: Account) {
        self.client = client
        self.server = server
        self.timeout = timeout
        self.account = account
        up = Flow(leftover: client.takeRest())
        down = Flow(leftover: server.takeRest())
        lastActivity = client.channel.thread.now
    }

    /// Bytes read and not passed on yet, in both directions.
    var waiting: Int { up.waiting + down.waiting }

    private var thread: LoopThread { client.channel.thread }

    /// Starts moving bytes.
    func start() {
        client.channel.handler = self
        server.channel.handler = self
        if let timeout { timer = thread.setTimer(self, after: timeout) }
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
        let before = up.count &+ down.count
        let upward = up.run(from: client, to: server)
        let downward = up.ended && upward == .failed ? .failed : down.run(from: server, to: client)
        if up.count &+ down.count != before { lastActivity = thread.now }
        switch (upward, downward) {
        case (.failed, _), (_, .failed): finish("Fatal error piping data. Exiting child.")
        case (.ended, .ended): finish(nil)
        case (.yielded, _), (_, .yielded): thread.again(client.channel)
        default: break
        }
    }

    /// The idle time may be over; activity in between only moved the moment.
    func timerFired() {
        timer = nil
        guard !finished, let timeout else { return }
        let idle = thread.now - min(lastActivity, thread.now)
        if idle >= timeout {
            account.log.info("Timeout piping data.")
            finish(nil)
        } else {
            timer = thread.setTimer(self, after: timeout - idle)
        }
    }

    private func finish(_ fault: String?) {
        guard !finished else { return }
        finished = true
        if let timer { thread.cancelTimer(timer) }
        timer = nil
        client.close()
        server.close()
        if let fault { account.log.error("\(fault)") }
        account.log.info("Closing session: \(account.label) received=\(up.count) sent=\(down.count)")
        account.services.sessions.subtract(1, ordering: .relaxed)
        onEnd?(self)
        onEnd = nil
    }
}
