import CLinux
import Glibc

/// Is told about every change of a channel that nobody waits on with `await`.
public protocol ChannelHandler: AnyObject {
    /// The channel may be read, written, or has been closed by its peer: try.
    func channelReady(_ channel: Channel)
}

/// A non-blocking descriptor of one loop, registered once, edge-triggered, until it is closed.
///
/// With io_uring what is short and there is room for leaves at the end of the loop's turn, with all others': it is taken
/// for sent at once, and what the system then does not take waits here, in front of all that comes later.
///
/// An edge that arrives while nobody waits is latched in `readable` and `writable`; an attempt that would block, or
/// moves less than was asked for, clears it, and without it no attempt is made. The edge that says "write" is asked for
/// when a write would block first: most descriptors never get there, and each edge wakes the loop. One task may wait
/// at a time.
public final class Channel {
    // In an order that leaves no holes: there are two of them for each session.

    /// The loop the channel belongs to.
    public let thread: LoopThread
    /// The descriptor; -1 once closed.
    public var descriptor: Int32 { isOpen ? number : -1 }
    /// That of the system, which it keeps a little longer.
    @exclusivity(unchecked) var number: Int32
    /// Stands beside the descriptor in the data of its events, so that a stale one cannot hit a reused number.
    @exclusivity(unchecked) var generation: UInt32 = 0
    /// What came of bytes that had been taken for sent, or of a connect; 0 for nothing bad.
    @exclusivity(unchecked) private(set) var fault: Int32 = 0
    /// The ring's batch that bytes were put into last.
    @exclusivity(unchecked) private var batch: UInt32 = 0
    @exclusivity(unchecked) private var timer: TimerID?
    @exclusivity(unchecked) private var isOpen = true
    /// Whether an attempt to read may bring something.
    ///
    /// Computed, as some of the others: see ``LoopThread/now``.
    public var readable: Bool { canBeRead }
    @exclusivity(unchecked) private var canBeRead = false
    /// Whether an attempt to write may take something.
    @exclusivity(unchecked) public private(set) var writable = true
    /// The peer has ended its direction, or the connection is broken: a short read no longer means "nothing left".
    public var isEnding: Bool { hasEnded }
    @exclusivity(unchecked) private var hasEnded = false
    /// Whether the peer's end has been reached: the next attempt to read need not be made to say so.
    @exclusivity(unchecked) private var isDrained = false
    /// Whether the system has reported a fault, which the next attempt to move bytes names.
    @exclusivity(unchecked) private(set) var isBroken = false
    /// Whether the loop is told when the channel can be written again.
    @exclusivity(unchecked) var watchesWriting: Bool
    /// Whether the descriptor is another's as well.
    let isBorrowed: Bool
    /// Whether the ring is about to connect it.
    @exclusivity(unchecked) var isConnecting = false
    /// Our direction ends behind what waits.
    @exclusivity(unchecked) private var endsOutput = false
    /// Whether there are bytes that count as sent and that the system did not take; the loop has them.
    @exclusivity(unchecked) private var hasBacklog = false
    /// Whether the loop has promised the handler another turn.
    @exclusivity(unchecked) var isRepeated = false
    @exclusivity(unchecked) private var waitsToWrite = false
    @exclusivity(unchecked) private var waiter: UnsafeContinuation<Wakeup, Never>?
    /// Told about readiness while nobody waits; nil while the channel is driven by `await`.
    public var handler: (any ChannelHandler)? {
        get { listener }
        set { listener = newValue }
    }
    @exclusivity(unchecked) private var listener: (any ChannelHandler)?

    /// Takes over a non-blocking descriptor; it is closed with the channel, or here where registering fails.
    /// - Throws: `Errno` where the descriptor cannot be watched.
    public convenience init(_ descriptor: Int32, on thread: LoopThread) throws(Errno) {
        try self.init(descriptor, on: thread, connecting: false)
    }

    /// Takes over a descriptor that may not be connected yet: it can be written when the loop says so.
    convenience init(_ descriptor: Int32, on thread: LoopThread, connecting: Bool) throws(Errno) {
        let events = connecting ? Self.events | linux_EPOLLOUT : Self.events
        try self.init(descriptor, on: thread, events: events, isBorrowed: false)
        writable = !connecting
    }

    /// Watches a descriptor that stays open when the channel is released: a listening socket others share.
    convenience init(borrowing descriptor: Int32, on thread: LoopThread) throws(Errno) {
        try self.init(descriptor, on: thread, events: Self.sharedEvents, isBorrowed: true)
    }

    private init(_ descriptor: Int32, on thread: LoopThread, events: UInt32, isBorrowed: Bool) throws(Errno) {
        number = descriptor
        self.thread = thread
        self.isBorrowed = isBorrowed
        watchesWriting = events & linux_EPOLLOUT != 0
        do {
            try thread.register(self, events: events)
        } catch {
            number = -1
            isOpen = false
            if !isBorrowed { closeDescriptor(descriptor) }
            throw error
        }
    }

    /// Takes over a descriptor that the loop's ring connects; it is watched from then on.
    init(connecting descriptor: Int32, on thread: LoopThread) {
        number = descriptor
        self.thread = thread
        isBorrowed = false
        watchesWriting = false
        writable = false
        isConnecting = true
    }

    static let events = linux_EPOLLIN | linux_EPOLLRDHUP | linux_EPOLLET
    /// Level-triggered, so that what one loop leaves is seen again; exclusive, so that not every loop wakes up.
    static let sharedEvents = linux_EPOLLIN | linux_EPOLLEXCLUSIVE

    /// Stops watching and leaves the descriptor open.
    func release() {
        guard isOpen else { return }
        thread.withdraw(self)
        isOpen = false
        number = -1
        handler = nil
    }

    deinit {
        if number >= 0 { closeDescriptor(number) }
    }

    /// Whether `close()` has been called.
    public var isClosed: Bool { !isOpen }

    /// Closes the descriptor; whoever waits is woken with `.closed`. More calls do nothing.
    ///
    /// What counts as sent is sent: where the system does not take it now, within ten seconds.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        handler = nil
        stopTimer()
        thread.dismiss(self)
        wake(.closed)
    }

    /// Ends our direction (`shutdown(2)`): the peer reads an end of file, and may go on sending.
    public func endOutput() {
        guard isOpen else { return }
        guard settle() else {
            endsOutput = true
            return
        }
        _ = shutdown(number, Int32(SHUT_WR))
    }

    // MARK: Waiting

    /// Suspends until the channel may be read.
    /// - Parameter milliseconds: how long at most; nil or 0 for no limit.
    public func waitReadable(within milliseconds: UInt64?) async -> Wakeup {
        if readable { return .ready }
        if isClosed { return .closed }
        return await wait(toWrite: false, within: milliseconds)
    }

    /// Suspends until the channel may be written.
    /// - Parameter milliseconds: how long at most; nil or 0 for no limit.
    public func waitWritable(within milliseconds: UInt64?) async -> Wakeup {
        if writable { return .ready }
        if isClosed { return .closed }
        return await wait(toWrite: true, within: milliseconds)
    }

    private func wait(toWrite: Bool, within milliseconds: UInt64?) async -> Wakeup {
        precondition(waiter == nil, "a channel has one who waits")
        if let milliseconds, milliseconds > 0 { timer = thread.setTimer(self, after: milliseconds) }
        defer { stopTimer() }
        waitsToWrite = toWrite
        return await withUnsafeContinuation { waiter = $0 }
    }

    private func stopTimer() {
        guard let set = timer else { return }
        timer = nil
        thread.cancelTimer(set)
    }

    private func wake(_ reason: Wakeup) {
        guard let continuation = waiter else { return }
        waiter = nil
        continuation.resume(returning: reason)
    }

    /// The loop's word that something changed.
    func became(ready events: UInt32) {
        if events & (linux_EPOLLHUP | linux_EPOLLERR) != 0 { becameBroken() }
        if events & linux_EPOLLRDHUP != 0 {
            hasEnded = true
            canBeRead = true
        }
        if events & linux_EPOLLIN != 0 { canBeRead = true }
        if events & linux_EPOLLOUT != 0 { writable = sendBacklog() }
        if isClosed {
            // Not before it is known what came of all that was sent.
            if timer != nil, !hasBacklog { dismissed() }
            return
        }
        if waitsToWrite ? writable : readable { wake(.ready) }
        handler?.channelReady(self)
    }

    private func becameBroken() {
        isBroken = true
        hasEnded = true
        canBeRead = true
        writable = true
        // Nobody will read it.
        dropBacklog()
    }

    /// For a TLS layer that reads the descriptor itself and found it empty.
    public func wouldBlockReading() {
        if !isEnding { canBeRead = false }
    }

    /// For a TLS layer that writes the descriptor itself and found it full.
    public func wouldBlockWriting() {
        writable = false
        guard !watchesWriting, number >= 0 else { return }
        watchesWriting = true
        thread.watchWriting(self)
    }

    // MARK: Bytes

    /// Reads once into the given room, which must not be empty.
    public func receive(into room: UnsafeMutableRawBufferPointer) -> IOResult {
        guard readable else { return .wouldBlock }
        guard !isDrained else { return .closed }
        guard fault == 0 else { return .failed(Errno(fault)) }
        while true {
            let count = unsafe recv(number, room.baseAddress, room.count, 0)
            if count > 0 {
                if count < room.count {
                    // All that came ahead of an end we know of was there to be read.
                    if isEnding { isDrained = !isBroken } else { canBeRead = false }
                }
                return .moved(count)
            }
            if count == 0 { return .closed }
            switch linux_errno() {
            case EINTR: continue
            case EAGAIN:
                canBeRead = false
                return .wouldBlock
            case let code: return .failed(Errno(code))
            }
        }
    }

    /// Writes once what it can of the given bytes, of which there must be some.
    /// - Parameter more: whether more bytes, or the end, follow at once and may share a segment with these.
    public func send(_ bytes: UnsafeRawBufferPointer, more: Bool = false) -> IOResult {
        guard settle() else { return .wouldBlock }
        guard fault == 0 else { return .failed(Errno(fault)) }
        if writable, !isBroken, bytes.count <= Ring.longest, let posted = thread.post(bytes, more: more, to: self) {
            batch = posted
            return .moved(bytes.count)
        }
        return sendNow(bytes, more: more)
    }

    private func sendNow(_ bytes: UnsafeRawBufferPointer, more: Bool) -> IOResult {
        while true {
            let count =
                more
                ? unsafe linux_send_more(number, bytes.baseAddress, bytes.count)
                : unsafe linux_send(number, bytes.baseAddress, bytes.count)
            if count >= 0 {
                if count < bytes.count { wouldBlockWriting() }
                return .moved(count)
            }
            switch linux_errno() {
            case EINTR: continue
            case EAGAIN:
                wouldBlockWriting()
                return .wouldBlock
            case let code: return .failed(Errno(code))
            }
        }
    }
}

// MARK: - What counts as sent

extension Channel {
    /// Hands over to the system what counts as sent, as must be done before anybody else uses the descriptor to write.
    /// - Returns: whether it has all of it; where not, the channel can be written when it has.
    public func settle() -> Bool {
        if isPosted {
            let result = thread.handOver(self)
            posted(result)
        }
        return !hasBacklog
    }

    /// Whether bytes are with the ring, and nobody knows what comes of them.
    var isPosted: Bool { batch != 0 && batch == thread.batch }

    /// Whether something that counts as sent is not with the system.
    var isWaiting: Bool { isPosted || hasBacklog }

    /// What came of the bytes that are with the ring.
    /// - Parameter result: how many the system took, or a negative `errno(3)`; nil where it took all.
    func posted(_ result: Int32?) {
        defer { batch = 0 }
        guard let result else { return }
        guard isPosted, result >= 0 || result == -EAGAIN || result == -EINTR else {
            fault = result < 0 ? 0 &- result : EIO
            return becameBroken()
        }
        thread.keepPosted(of: self, behind: Int(result))
        hasBacklog = true
        wouldBlockWriting()
    }

    /// Sends on what the system did not take.
    /// - Returns: whether the channel can be written.
    private func sendBacklog() -> Bool {
        guard hasBacklog, var backlog = thread.backlogs.removeValue(forKey: number) else { return true }
        switch backlog.withUnsafeBytes({ sendNow($0, more: false) }) {
        case .moved(let count) where count < backlog.count:
            thread.backlogs[number] = Array(backlog[count...])
            LoopThread.wipe(&backlog)
            return false
        case .wouldBlock:
            thread.backlogs[number] = backlog
            return false
        case .moved: hasBacklog = false
        case .closed: becameBroken()
        case .failed(let error):
            // The next to send hears of it.
            fault = error.code
            becameBroken()
        }
        LoopThread.wipe(&backlog)
        if endsOutput { _ = shutdown(number, Int32(SHUT_WR)) }
        return true
    }

    private func dropBacklog() {
        guard hasBacklog else { return }
        hasBacklog = false
        thread.dropBacklog(of: self)
    }

    /// How long it may take to send what counts as sent when a channel was closed, in milliseconds.
    private static let farewell: UInt64 = 10_000

    /// The channel is closed, and what counts as sent is not with the system yet.
    func linger() {
        timer = thread.setTimer(self, after: Self.farewell)
    }

    private func dismissed() {
        stopTimer()
        dropBacklog()
        thread.discard(self)
    }

    /// The ring has connected it, or not.
    /// - Parameter result: a negative `errno(3)`, or 0.
    func connected(_ result: Int32) {
        isConnecting = false
        guard isOpen else { return }
        if result < 0 {
            fault = 0 &- result
            isBroken = true
        }
        writable = true
        wake(.ready)
    }
}

extension Channel: TimerTarget {
    /// The time allowed for a wait is over, or that to send the last of what counts as sent.
    public func timerFired() {
        timer = nil
        if isClosed { dismissed() } else { wake(.timedOut) }
    }
}

/// `close(2)` beside a method of the same name.
private func closeDescriptor(_ descriptor: Int32) {
    _ = Glibc.close(descriptor)
}
