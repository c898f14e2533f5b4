import CLinux
import Glibc

// Watching and sending by io_uring(7).
//
// What a loop sends, connects, watches and closes in a turn is handed over at its end, with the wait for what comes next,
// by one system call. That saves the others, and more: a send wakes up whoever reads, and behind each system call that
// does, the kernel may give him the processor.
extension LoopThread {
    /// Whether it works with io_uring. On its own thread.
    public var hasRing: Bool { ring != nil }

    func openRing() {
        ring = Ring(polls: polls)
        moveToRing()
    }

    /// Back to epoll, before anything was done with it.
    func dropRing() {
        ring?.close()
        ring = nil
    }

    /// Sends what counts as sent, and closes what was closed.
    func closeRing() {
        guard ring != nil else { return }
        handOver()
        for case let channel? in channels where channel.isClosed { discard(channel) }
        ring?.submit()
        dropRing()
    }

    // MARK: Handing over

    /// The ring's batch; 0 where there is none.
    var batch: UInt32 { ring?.batch ?? 0 }

    /// Takes bytes that are to leave at the end of this turn.
    /// - Returns: the batch they are in; nil where they have to be sent at once.
    func post(_ bytes: UnsafeRawBufferPointer, more: Bool, to channel: Channel) -> UInt32? {
        let token = Ring.Token(.send, channel.number, channel.generation)
        return ring?.send(bytes, more: more, to: channel.number, as: token) == true ? batch : nil
    }

    /// Keeps what the system did not take of the bytes a channel has in this batch.
    func keepPosted(of channel: Channel, behind sent: Int) {
        let token = Ring.Token(.send, channel.number, channel.generation)
        backlogs[channel.number] = ring.map { Array($0.rest(of: token, behind: sent)) }
    }

    /// Forgets what a channel has not sent, which may be a password.
    func dropBacklog(of channel: Channel) {
        if var backlog = backlogs.removeValue(forKey: channel.number) { Self.wipe(&backlog) }
    }

    static func wipe(_ bytes: inout [UInt8]) {
        bytes.withUnsafeMutableBytes { linux_wipe($0.baseAddress, $0.count) }
    }

    /// Hands over everything now, for the sake of one channel.
    /// - Returns: what came of its bytes; nil where all of them were taken.
    func handOver(_ channel: Channel) -> Int32? {
        guard let ring else { return nil }
        ring.submit()
        return ring.take(Ring.Token(.send, channel.number, channel.generation))
    }

    /// Something was done that takes long: what others have sent in this turn leaves before there is more of that.
    public func spendLong() {
        guard let ring, ring.holds, Self.clock() &- now >= Self.longTurn else { return }
        ring.submit()
    }

    /// Milliseconds of a turn after which nobody's bytes wait for its end.
    private static let longTurn: UInt64 = 2

    /// Whether bytes of channels that were closed are not with the system yet. For tests, and for whoever is about to end.
    public var isLeaving: Bool { !leaving.isEmpty || channels.contains { $0?.isClosed == true } }

    /// Hands over everything, and closes what was closed in this turn.
    private func handOver() {
        guard let ring else { return }
        guard !leaving.isEmpty else { return }
        // What they have sent is to be with the system before.
        ring.submit()
        for channel in leaving {
            if channel.isPosted { channel.posted(ring.take(Ring.Token(.send, channel.number, channel.generation))) }
            if channel.isWaiting { channel.linger() } else { discard(channel) }
        }
        leaving.removeAll(keepingCapacity: true)
    }

    /// Hands over everything, and waits.
    func waitForNews(_ milliseconds: Int32) {
        handOver()
        ring?.wait(milliseconds: news.isEmpty ? milliseconds : 0)
        while let one = ring?.next() {
            news.append(one)
            // While the bytes are still there.
            if Ring.Token(one.data).kind == .send { channel(one.data)?.posted(one.result) }
        }
        if ring?.holds == true { ring?.empty() }
    }

    private func channel(_ data: UInt64) -> Channel? {
        let token = Ring.Token(data)
        guard token.descriptor < channels.count, let channel = channels[token.descriptor],
            channel.generation == token.generation
        else { return nil }
        return channel
    }

    func hearNews() {
        var index = 0
        while index < news.count {
            let one = news[index]
            index += 1
            guard one.data != Ring.Token(.max).data else {
                silence()
                continue
            }
            let kind = Ring.Token(one.data).kind
            // A channel that was closed earlier in this turn, whose number may be in use again.
            guard kind != .ignored, let channel = channel(one.data) else { continue }
            hear(one, kind, channel)
        }
        news.removeAll(keepingCapacity: news.capacity <= 4096)
    }

    private func hear(_ one: linux_completion, _ kind: Ring.Kind, _ channel: Channel) {
        switch kind {
        case .read:
            channel.became(ready: Self.events(one.result))
            // It is watched anew where another may take what is there, and where the ring had no room for its news.
            guard one.goes_on == 0, !channel.isClosed, self.channel(one.data) != nil else { return }
            if one.result < 0 || !watch(channel) { fail(channel) }
        case .write:
            channel.watchesWriting = false
            channel.became(ready: Self.events(one.result))
        case .send:
            if channel.fault != 0 { channel.became(ready: linux_EPOLLERR) }
        case .connect:
            if one.result == 0, !channel.isClosed, !watch(channel) {
                channel.connected(0 &- EAGAIN)
            } else {
                channel.connected(one.result)
            }
        case .ignored: break
        }
    }

    private static func events(_ result: Int32) -> UInt32 {
        result >= 0 ? UInt32(bitPattern: result) : linux_EPOLLERR | linux_EPOLLHUP
    }

    // MARK: Channels

    /// False where the system takes nothing more.
    func watch(_ channel: Channel) -> Bool {
        guard let ring, channel.number < Ring.Token.descriptors else { return false }
        let token = Ring.Token(.read, channel.number, channel.generation)
        // A shared socket is watched for one event at a time: between two of them others are woken up, and what is still
        // there is an event.
        return ring.watch(
            channel.number, for: channel.isBorrowed ? Channel.sharedEvents : Channel.events,
            repeatedly: !channel.isBorrowed, as: token)
    }

    /// The system does not tell of it any more, which the channel is told like anything else.
    func fail(_ channel: Channel) {
        let token = Ring.Token(.read, channel.number, channel.generation)
        news.append(linux_completion(data: token.data, result: 0 &- ENOMEM, goes_on: 1))
    }

    /// Has the ring connect a descriptor, which is the channel's then.
    /// - Returns: nil where it has to be done by other means.
    func connecting(_ descriptor: Int32, to address: SocketAddress) -> Channel? {
        guard ring != nil, descriptor < Ring.Token.descriptors else { return nil }
        let channel = Channel(connecting: descriptor, on: self)
        enter(channel)
        let token = Ring.Token(.connect, descriptor, channel.generation)
        guard ring?.connect(descriptor, to: address, as: token) == true else {
            unregister(channel)
            channel.number = -1
            return nil
        }
        return channel
    }

    /// Closes a channel's descriptor; behind what it has sent in this turn.
    func dismiss(_ channel: Channel) {
        if channel.isWaiting { leaving.append(channel) } else { discard(channel) }
    }

    /// Closes a channel's descriptor and forgets the channel.
    func discard(_ channel: Channel) {
        unregister(channel)
        let descriptor = channel.number
        channel.number = -1
        guard let ring else {
            _ = Glibc.close(descriptor)
            return
        }
        // Whoever watches it keeps it open.
        ring.cancel(Ring.Token(channel.isConnecting ? .connect : .read, descriptor, channel.generation))
        if channel.watchesWriting { ring.cancel(Ring.Token(.write, descriptor, channel.generation)) }
        if !ring.closeDescriptor(descriptor) { _ = Glibc.close(descriptor) }
    }
}
