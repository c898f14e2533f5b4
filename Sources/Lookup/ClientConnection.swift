import CLinux
import DequeModule
import Glibc
import Loop

/// One connection of a client to its provider.
final class ClientConnection {
    /// Bytes of requests that may wait to be taken by the provider, before the buffer is let go when empty.
    private static let keptOutput = 16 * 1024

    private unowned let client: Client
    private let channel: Channel
    @exclusivity(unchecked) private var pending = Deque<PendingLookup>()
    @exclusivity(unchecked) private var input = Netstring(limit: Limits.reply)
    @exclusivity(unchecked) private var output: [UInt8] = []
    @exclusivity(unchecked) private var sent = 0
    /// Whether any reply has come.
    @exclusivity(unchecked) private var fruitful = false
    /// When the last reply came, or the first request without one was sent.
    @exclusivity(unchecked) private var lastReply: UInt64 = 0

    /// Connects, which a Unix socket does at once or not at all.
    /// - Throws: `Errno`; `EAGAIN` where the provider's queue is full.
    init(_ client: Client) throws(Errno) {
        self.client = client
        let descriptor = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        guard descriptor >= 0 else { throw .last }
        guard UnixAddress.connect(descriptor, to: client.path) == 0 else {
            let error = Errno.last
            _ = Glibc.close(descriptor)
            throw error
        }
        channel = try Channel(descriptor, on: client.thread)
        channel.handler = self
    }

    /// Whether it gets no more lookups.
    var isRetired = false

    /// Replies that are due, for lookups that were given up as well.
    var count: Int { pending.count }

    /// Lookups that wait for a reply on it.
    var unanswered: some Sequence<PendingLookup> { pending.lazy.filter { !$0.isDone } }

    /// The deadline that comes first; lookups asked a second time may stand behind younger ones.
    var deadline: UInt64? { unanswered.map(\.deadline).min() }

    /// When the oldest of the lookups under way was asked first.
    var asked: UInt64? { unanswered.map(\.asked).min() }

    /// Since when a reply is due and none has come; nil where none is due.
    var silence: UInt64? { pending.isEmpty ? nil : lastReply }

    /// Requests of this turn of the loop, which leave together at its end.
    @exclusivity(unchecked) private(set) var gathered = 0

    /// Sends a request at the end of this turn, behind those that wait.
    func ask(_ lookup: PendingLookup, _ now: UInt64) {
        if pending.isEmpty { lastReply = now }
        pending.append(lookup)
        Wire.append(map: client.map, key: lookup.key, to: &output)
        if gathered == 0 { client.thread.callAtTurnEnd(self) }
        gathered += 1
    }

    /// Answers those whose deadline has come; their replies stay due.
    /// - Returns: whether there were any.
    func giveUp(_ now: UInt64) -> Bool {
        var isLate = false
        for lookup in pending where lookup.deadline <= now && !lookup.isDone {
            lookup.answer(.temporary("the map did not answer in time"))
            isLate = true
        }
        return isLate
    }

    /// Closes the connection and hands over what is unanswered.
    func close() -> Deque<PendingLookup> {
        channel.close()
        defer { pending = [] }
        return pending
    }

    private func flush() {
        while sent < output.count {
            let result = unsafe output.withUnsafeBytes {
                unsafe channel.send(UnsafeRawBufferPointer(rebasing: $0[sent...]))
            }
            switch result {
            case .moved(let count): sent += count
            case .wouldBlock: return
            // The loop reports the broken connection in its next turn, after what it may have brought before.
            case .closed, .failed: return
            }
        }
        sent = 0
        output.removeAll(keepingCapacity: output.capacity <= Self.keptOutput)
    }

    private func receive() {
        while channel.readable, !channel.isClosed {
            switch channel.receive(into: channel.thread.scratch) {
            case .moved(let count):
                unsafe input.append(UnsafeRawBufferPointer(rebasing: channel.thread.scratch[..<count]))
                guard take() else { return }
            case .wouldBlock: return
            case .closed:
                client.lost(self, fruitful: fruitful, "the map provider hung up")
                return
            case .failed(let error):
                client.lost(self, fruitful: fruitful, "the connection to the map provider broke: \(error)")
                return
            }
        }
    }

    /// Hands out the replies that are here.
    /// - Returns: whether the connection is still good.
    private func take() -> Bool {
        do {
            while let payload = try input.next() {
                guard let lookup = pending.popFirst() else {
                    client.lost(self, fruitful: fruitful, "the map provider sent an answer nobody asked for")
                    return false
                }
                fruitful = true
                lastReply = channel.thread.now
                lookup.answer(Wire.answer(payload))
                client.answered(lookup, on: self)
                if channel.isClosed { return false }
            }
            return true
        } catch {
            // The place of the next reply is unknown: this lookup fails, those behind it are asked again.
            if let lookup = pending.popFirst() {
                lookup.answer(.temporary("the map provider's answer cannot be read: \(error)"))
            }
            client.lost(self, fruitful: true, "the map provider's answer cannot be read: \(error)")
            return false
        }
    }
}

extension ClientConnection: TurnTarget {
    /// Everybody has asked.
    func turnEnds() {
        gathered = 0
        if !channel.isClosed { flush() }
    }
}

extension ClientConnection: ChannelHandler {
    /// Replies have come, requests can go, or the provider has hung up.
    func channelReady(_ channel: Channel) {
        if channel.writable, sent < output.count { flush() }
        receive()
    }
}
