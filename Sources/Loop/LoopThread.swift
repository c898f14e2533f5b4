import CLinux
import DequeModule
import Glibc
import Synchronization

/// One event loop: a thread, the descriptors it watches, its timers, and the jobs of the Swift tasks that live on it.
///
/// It watches and sends by io_uring(7) where the system has one for it, and by epoll(7) elsewhere.
///
/// It is both the serial executor of its `Loop` actor and the task executor of every task started for it: a pinned
/// actor alone would send each continuation through the global pool and back. It is the one `@unchecked Sendable` type
/// of the program: everything but `inbox` belongs to the thread that runs it.
public final class LoopThread: SerialExecutor, TaskExecutor, @unchecked Sendable {
    private struct Inbox {
        var jobs: [UnownedJob] = []
        /// Whether the loop waits, or is about to, and needs a wake-up to see the jobs.
        var asleep = false
        var stopping = false
    }

    /// Number of the loop among its peers, from 0.
    public let number: Int
    private let inbox = Mutex(Inbox())
    private let epoll: Int32
    private let alarm: Int32
    /// Nil before the loop runs, and where it works with epoll.
    @exclusivity(unchecked) var ring: Ring?
    private let usesRing: Bool
    /// Whether the ring waits as with a system older than Linux 6.15; set before the loop runs, by tests.
    @exclusivity(unchecked) var polls = false
    /// What the ring has told in this turn.
    @exclusivity(unchecked) var news: [linux_completion] = []
    /// What counts as sent and the system did not take, by descriptor.
    @exclusivity(unchecked) var backlogs: [Int32: [UInt8]] = [:]
    /// Closed in this turn, with bytes that count as sent.
    @exclusivity(unchecked) var leaving: [Channel] = []
    /// The thread in `run()`; 0 while there is none, so that nobody takes what is in the making for his own.
    private let owner = Atomic<UInt>(0)
    @exclusivity(unchecked) private var jobs = Deque<UnownedJob>()
    @exclusivity(unchecked) var channels: [Channel?] = []
    @exclusivity(unchecked) private var generation: UInt32 = 1
    @exclusivity(unchecked) private var timers: TimerWheel
    @exclusivity(unchecked) private var repeated: [Channel] = []
    /// Tasks that have had more than their turn.
    @exclusivity(unchecked) private var queue = Deque<UnsafeContinuation<Void, Never>>()
    /// Whether more connections may wait than were taken in this turn: their greetings come before anything long.
    public var isCrowded: Bool { crowded }
    @exclusivity(unchecked) var crowded = false
    @exclusivity(unchecked) private var turnTargets: [any TurnTarget] = []
    /// Called before each sleep, after everything else of the turn.
    @exclusivity(unchecked) public var beforeSleep: (() -> Void)?
    @exclusivity(unchecked) private var stopped = false
    /// Milliseconds on the monotonic clock at the start of this turn of the loop.
    ///
    /// Computed, as are others here that programs read often: read from their modules, the stored one would be checked for
    /// exclusivity, whatever is said here.
    public var now: UInt64 { time }
    @exclusivity(unchecked) private var time: UInt64
    /// Counts the turns of the loop: changes with each wait for descriptors.
    public var turn: UInt64 { turns }
    @exclusivity(unchecked) private var turns: UInt64 = 1
    /// Room shared by everything on this loop that reads and passes on at once; nothing stays in it over a suspension.
    public let scratch: UnsafeMutableRawBufferPointer

    /// The same for what is made of that on its way: as large, and an eighth more.
    public var sealingRoom: UnsafeMutableRawBufferPointer {
        if spare.baseAddress == nil { spare = .allocate(byteCount: Self.scratchSize / 8 * 9, alignment: 4096) }
        return spare
    }
    /// Made when it is first needed.
    @exclusivity(unchecked) private var spare = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// How many of the queue go on in each turn.
    private static let calledPerTurn = 16

    /// Size of `scratch` in bytes: large enough that a bulk transfer costs few calls, small enough for the cache.
    public static let scratchSize = 128 * 1024

    /// A loop that does not run yet.
    /// - Parameter usesRing: whether it may work with io_uring (`--no_io_uring`).
    /// - Throws: `Errno` where the system has no descriptor left.
    public init(number: Int = 0, usesRing: Bool = true) throws(Errno) {
        self.number = number
        self.usesRing = usesRing
        epoll = linux_epoll_create()
        guard epoll >= 0 else { throw .last }
        alarm = linux_eventfd()
        guard alarm >= 0 else {
            let error = Errno.last
            close(epoll)
            throw error
        }
        time = Self.clock()
        timers = TimerWheel(now: time)
        scratch = .allocate(byteCount: Self.scratchSize, alignment: 4096)
        // The alarm is level-triggered and its data is all ones, which no channel can have.
        guard linux_epoll_add(epoll, alarm, linux_EPOLLIN, .max) == 0 else {
            let error = Errno.last
            close(epoll)
            close(alarm)
            scratch.deallocate()
            throw error
        }
    }

    deinit {
        close(epoll)
        close(alarm)
        scratch.deallocate()
        spare.deallocate()
    }

    /// Milliseconds on the monotonic clock.
    public static func clock() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1000 &+ UInt64(truncatingIfNeeded: time.tv_nsec) / 1_000_000
    }

    /// Whether the caller runs on this loop's thread.
    public var isCurrent: Bool { UInt(pthread_self()) == owner.load(ordering: .relaxed) }

    /// What lives on this loop, put here and used by its own thread only.
    @exclusivity(unchecked) public var tenant: AnyObject?

    // MARK: Executor

    /// Appends a job, from any thread; it is never run from here.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent {
            jobs.append(job)
            return
        }
        let wake = inbox.withLock { inbox in
            inbox.jobs.append(job)
            defer { inbox.asleep = false }
            return inbox.asleep
        }
        if wake { soundAlarm() }
    }

    /// Whether the caller may touch what belongs to this loop.
    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    /// Traps where the caller runs on another thread.
    public func checkIsolated() {
        precondition(isCurrent, "this code belongs to loop \(number)")
    }

    private func soundAlarm() {
        var one: UInt64 = 1
        _ = write(alarm, &one, 8)
    }

    // MARK: Running

    /// Runs the loop on the calling thread until `stop()`.
    public func run() {
        owner.store(UInt(pthread_self()), ordering: .relaxed)
        defer { owner.store(0, ordering: .relaxed) }
        if usesRing { openRing() }
        defer { closeRing() }
        var events = [linux_event](repeating: linux_event(), count: ring == nil ? 256 : 0)
        while !stopped {
            runJobs()
            takeInbox(beforeSleep: jobs.isEmpty)
            endTurn()
            if stopped { break }
            if ring != nil {
                waitForNews(waitTime())
                beginTurn()
                hearNews()
            } else {
                let count = linux_epoll_wait(epoll, &events, Int32(events.count), waitTime())
                beginTurn()
                for index in 0..<Int(max(0, count)) { dispatch(events[index]) }
            }
            runRepeated()
            fireTimers()
            callFromQueue()
            takeInbox(beforeSleep: false)
        }
    }

    private func beginTurn() {
        time = Self.clock()
        turns &+= 1
        crowded = false
    }

    /// Ends `run()` after its present turn; from any thread.
    public func stop() {
        inbox.withLock { $0.stopping = true }
        soundAlarm()
    }

    /// Only the jobs that stand in line now: what they add waits until descriptors have had their turn.
    private func runJobs() {
        let serial = asUnownedSerialExecutor()
        let task = asUnownedTaskExecutor()
        for _ in 0..<jobs.count {
            guard let job = jobs.popFirst() else { return }
            unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
        }
    }

    /// Suspends the calling task until others have had their turn. Of all who do so only a few go on in each turn of the
    /// loop, and only one while connections wait to be taken: however many have much to do, those with little wait for few
    /// of them.
    public func queueUp() async {
        await withUnsafeContinuation { queue.append($0) }
    }

    private func callFromQueue() {
        for _ in 0..<(isCrowded ? 1 : Self.calledPerTurn) {
            guard let next = queue.popFirst() else { return }
            next.resume()
        }
    }

    private func takeInbox(beforeSleep: Bool) {
        inbox.withLock { inbox in
            if !inbox.jobs.isEmpty {
                jobs.append(contentsOf: inbox.jobs)
                inbox.jobs.removeAll(keepingCapacity: inbox.jobs.capacity <= 1024)
            }
            stopped = inbox.stopping
            inbox.asleep = beforeSleep && jobs.isEmpty
        }
    }

    private func waitTime() -> Int32 {
        guard jobs.isEmpty, repeated.isEmpty, queue.isEmpty else { return 0 }
        guard let delay = timers.delay(from: Self.clock()) else { return -1 }
        return Int32(clamping: delay)
    }

    private func dispatch(_ event: linux_event) {
        let data = event.data
        guard data != .max else { return silence() }
        let descriptor = Int(data & 0xffff_ffff)
        // A stale event: its channel was closed earlier in this turn, and the number may be in use again.
        guard descriptor < channels.count, let channel = channels[descriptor],
            channel.generation == UInt32(truncatingIfNeeded: data >> 32)
        else { return }
        channel.became(ready: event.events)
    }

    /// Takes note of the alarm.
    func silence() {
        var count: UInt64 = 0
        _ = read(alarm, &count, 8)
    }

    /// Has the ring watch what epoll has watched, which is nothing but what was there before the loop ran.
    func moveToRing() {
        guard let ring else { return }
        let heard = ring.watch(alarm, for: linux_EPOLLIN | linux_EPOLLET, repeatedly: true, as: Ring.Token(.max))
        guard heard else { return dropRing() }
        for case let channel? in channels {
            linux_epoll_remove(epoll, channel.number)
            if !watch(channel) { fail(channel) }
            if channel.watchesWriting { watchWriting(channel) }
        }
    }

    // MARK: Channels

    /// Watches a channel until it is closed.
    func register(_ channel: Channel, events: UInt32) throws(Errno) {
        enter(channel)
        guard ring == nil else {
            if watch(channel) { return }
            unregister(channel)
            throw Errno(EAGAIN)
        }
        let data = UInt64(channel.generation) << 32 | UInt64(UInt32(truncatingIfNeeded: channel.number))
        guard linux_epoll_add(epoll, channel.number, events, data) == 0 else {
            let error = Errno.last
            unregister(channel)
            throw error
        }
    }

    /// Gives a channel its place in the table.
    func enter(_ channel: Channel) {
        let descriptor = Int(channel.number)
        while channels.count <= descriptor { channels.append(nil) }
        generation &+= 1
        if generation == .max { generation = 1 }
        channel.generation = generation
        channels[descriptor] = channel
    }

    /// Tells a channel when it can be written; what is the case already is reported anew.
    func watchWriting(_ channel: Channel) {
        if let ring {
            // Were it not watched, nobody would know when to go on.
            let token = Ring.Token(.write, channel.number, channel.generation)
            if !ring.watch(channel.number, for: linux_EPOLLOUT, repeatedly: false, as: token) { fail(channel) }
            return
        }
        let data = UInt64(channel.generation) << 32 | UInt64(UInt32(truncatingIfNeeded: channel.number))
        _ = linux_epoll_modify(epoll, channel.number, Channel.events | linux_EPOLLOUT, data)
    }

    /// Stops watching a channel although its descriptor stays open.
    func withdraw(_ channel: Channel) {
        unregister(channel)
        if let ring {
            ring.cancel(Ring.Token(.read, channel.number, channel.generation))
        } else {
            linux_epoll_remove(epoll, channel.number)
        }
    }

    /// Forgets a channel; closing its descriptor takes it out of the epoll set.
    func unregister(_ channel: Channel) {
        let descriptor = Int(channel.number)
        guard descriptor >= 0, descriptor < channels.count, channels[descriptor] === channel else { return }
        channels[descriptor] = nil
    }

    /// Calls a channel's handler again in the next turn, after everybody else: for a handler that stopped with work left.
    public func again(_ channel: Channel) {
        guard !channel.isRepeated else { return }
        channel.isRepeated = true
        repeated.append(channel)
    }

    private func runRepeated() {
        guard !repeated.isEmpty else { return }
        let channels = repeated
        repeated.removeAll(keepingCapacity: true)
        for channel in channels {
            channel.isRepeated = false
            channel.handler?.channelReady(channel)
        }
    }

    /// Calls a target at the end of this turn, before the loop sleeps: what many sessions have asked for meanwhile can
    /// leave together. Once for each call of this; jobs it makes run in the next turn, at once.
    public func callAtTurnEnd(_ target: any TurnTarget) {
        turnTargets.append(target)
    }

    private func endTurn() {
        if !turnTargets.isEmpty {
            let targets = turnTargets
            turnTargets.removeAll(keepingCapacity: true)
            for target in targets { target.turnEnds() }
        }
        beforeSleep?()
    }

    // MARK: Timers

    /// Sets a timer.
    /// - Parameters:
    ///   - target: who is called, once, on this loop's thread.
    ///   - milliseconds: how long from now; at least one tick of the wheel.
    public func setTimer(_ target: any TimerTarget, after milliseconds: UInt64) -> TimerID {
        // Not from `now`, which may be long ago: a turn lasts as long as its jobs.
        let (time, isNever) = Self.clock().addingReportingOverflow(milliseconds)
        return timers.set(target, at: isNever ? .max : time)
    }

    /// Takes a timer back; nothing happens where it has fired already.
    public func cancelTimer(_ timer: TimerID) {
        timers.cancel(timer)
    }

    private func fireTimers() {
        timers.advance(to: now)
        while let target = timers.nextDue() { target.timerFired() }
    }
}
