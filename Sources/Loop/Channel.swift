import CLinux
import Glibc

/// Is told about every change of a channel that nobody waits on with `await`.
public protocol ChannelHandler: AnyObject {
    /// The channel may be read, written, or has been closed by its peer: try.
    func channelReady(_ channel: Channel)
}

/// A non-blocking descriptor of one loop, registered once, edge-triggered, until it is closed.
///
/// An edge that arrives while nobody waits is latched in `readable` and `writable`; an attempt that would block, or
/// moves less than was asked for, clears it, and without it no attempt is made. The edge that says "write" is asked for
/// when a write would block first: most descriptors never get there, and each edge wakes the loop. One task may wait
/// at a time.
public final class Channel {
    /// The descriptor; -1 once closed.
    @exclusivity(unchecked) public private(set) var descriptor: Int32
    /// The loop the channel belongs to.
    public let thread: LoopThread
    /// Stands beside the descriptor in the epoll data, so that a stale event cannot hit a reused number.
    @exclusivity(unchecked) var generation: UInt32 = 0
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
    @exclusivity(unchecked) private var watchesWriting: Bool
    /// Whether the loop has promised the handler another turn.
    @exclusivity(unchecked) var isRepeated = false
    @exclusivity(unchecked) private var waitsToWrite = false
    @exclusivity(unchecked) private var waiter: UnsafeContinuation<Wakeup, Never>?
    @exclusivity(unchecked) private var timer: TimerID?
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
    init(_ descriptor: Int32, on thread: LoopThread, connecting: Bool) throws(Errno) {
        self.descriptor = descriptor
        self.thread = thread
        watchesWriting = connecting
        writable = !connecting
        do {
            try thread.register(self, events: connecting ? Self.events | linux_EPOLLOUT : Self.events)
        } catch {
            self.descriptor = -1
            closeDescriptor(descriptor)
            throw error
        }
    }

    private static let events = linux_EPOLLIN | linux_EPOLLRDHUP | linux_EPOLLET

    /// Watches a descriptor that stays open when the channel is released: a listening socket others share.
    init(borrowing descriptor: Int32, on thread: LoopThread, events: UInt32) throws(Errno) {
        self.descriptor = descriptor
        self.thread = thread
        watchesWriting = true
        do {
            try thread.register(self, events: events)
        } catch {
            self.descriptor = -1
            throw error
        }
    }

    /// Stops watching and leaves the descriptor open.
    func release() {
        guard descriptor >= 0 else { return }
        thread.withdraw(self)
        descriptor = -1
        handler = nil
    }

    deinit {
        if descriptor >= 0 { closeDescriptor(descriptor) }
    }

    /// Whether `close()` has been called.
    public var isClosed: Bool { descriptor < 0 }

    /// Closes the descriptor; whoever waits is woken with `.closed`. More calls do nothing.
    public func close() {
        guard descriptor >= 0 else { return }
        thread.unregister(self)
        closeDescriptor(descriptor)
        descriptor = -1
        handler = nil
        stopTimer()
        wake(.closed)
    }

    /// Ends our direction (`shutdown(2)`): the peer reads an end of file, and may go on sending.
    public func endOutput() {
        guard descriptor >= 0 else { return }
        _ = shutdown(descriptor, Int32(SHUT_WR))
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
        if events & (linux_EPOLLHUP | linux_EPOLLERR) != 0 {
            isBroken = true
            hasEnded = true
            canBeRead = true
            writable = true
        }
        if events & linux_EPOLLRDHUP != 0 {
            hasEnded = true
            canBeRead = true
        }
        if events & linux_EPOLLIN != 0 { canBeRead = true }
        if events & linux_EPOLLOUT != 0 { writable = true }
        if waitsToWrite ? writable : readable { wake(.ready) }
        handler?.channelReady(self)
    }

    /// For a TLS layer that reads the descriptor itself and found it empty.
    public func wouldBlockReading() {
        if !isEnding { canBeRead = false }
    }

    /// For a TLS layer that writes the descriptor itself and found it full.
    public func wouldBlockWriting() {
        writable = false
        guard !watchesWriting, descriptor >= 0 else { return }
        watchesWriting = true
        thread.modify(self, events: Self.events | linux_EPOLLOUT)
    }

    // MARK: Bytes

    /// Reads once into the given room, which must not be empty.
    public func receive(into room: UnsafeMutableRawBufferPointer) -> IOResult {
        guard readable else { return .wouldBlock }
        guard !isDrained else { return .closed }
        while true {
            let count = unsafe recv(descriptor, room.baseAddress, room.count, 0)
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
        while true {
            let count =
                more
                ? unsafe linux_send_more(descriptor, bytes.baseAddress, bytes.count)
                : unsafe linux_send(descriptor, bytes.baseAddress, bytes.count)
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

extension Channel: TimerTarget {
    /// The time allowed for a wait is over.
    public func timerFired() {
        timer = nil
        wake(.timedOut)
    }
}

/// `close(2)` beside a method of the same name.
private func closeDescriptor(_ descriptor: Int32) {
    _ = Glibc.close(descriptor)
}
