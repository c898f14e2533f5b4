import CLinux
import Glibc
import Lookup
import PopmapTable

/// What becomes of a request.
enum ServiceReply {
    /// The answer to a lookup.
    case answer(Answer)
    /// All entries, as a descriptor beside the reply.
    case table(PopmapTableFile)
}

/// One connection to a provider. It is a value that a worker takes out of the table while it works on it.
struct ServiceConnection: Sendable {
    /// What a worker does next about a connection.
    enum Next {
        /// Wait for more requests.
        case read
        /// Wait until the other end takes what is due to it, and read nothing until then.
        case write
        /// Close it.
        case close
    }

    /// Replies beyond this are not made until the ones before have been taken: a reader that does not read costs this
    /// much and one reply.
    static let outputLimit = 64 * 1024
    /// Times a connection is read before others get their turn.
    static let turns = 8

    let descriptor: Int32
    var input = Netstring(limit: Limits.request)
    var output: [UInt8] = []
    /// How much of `output` has been sent.
    var sent = 0
    /// The other end sends no more.
    var ended = false
    /// Counts up over all connections; the lowest number is the most idle connection.
    var lastUse: UInt64 = 0
    /// When the requests that wait in `input` came in, in nanoseconds.
    private var received: UInt64 = 0

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Sends what is due as far as it is taken.
    /// - Returns: whether all went; nil where the connection is broken.
    mutating func flush() -> Bool? {
        while sent < output.count {
            let count = unsafe output.withUnsafeBytes { bytes in
                unsafe linux_send(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent)
            }
            if count < 0 {
                switch linux_errno() {
                case EINTR: continue
                case EAGAIN: return false
                default: return nil
                }
            }
            sent += count
        }
        sent = 0
        output.removeAll(keepingCapacity: output.capacity <= 4096)
        return true
    }

    /// Answers what has come in, in order, until there is nothing left to do without waiting.
    /// - Parameters:
    ///   - room: where to read to.
    ///   - answer: looks a request up that has waited for so many nanoseconds.
    mutating func serve(room: UnsafeMutableRawBufferPointer, answer: (Wire.Request?, UInt64) -> ServiceReply) -> Next {
        for _ in 0..<Self.turns {
            // Replies first: a connection that does not take them is not read from.
            guard let step = replyToAll(answer) else { return .close }
            if !step { return .write }
            if ended { return .close }
            let count = unsafe recv(descriptor, room.baseAddress, room.count, 0)
            if count > 0 {
                received = ServiceClock.now()
                unsafe input.append(UnsafeRawBufferPointer(rebasing: room[..<count]))
            } else if count == 0 {
                ended = true
                return .close
            } else {
                switch linux_errno() {
                case EINTR: continue
                case EAGAIN: return .read
                default: return .close
                }
            }
            if count < room.count {
                guard let step = replyToAll(answer) else { return .close }
                return step ? .read : .write
            }
        }
        return .read
    }

    /// Whether the other end has gone altogether, so that nobody reads an answer; one that only sends no more does.
    var isAbandoned: Bool {
        var state = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&state, 1, 0) == 1 && state.revents & Int16(POLLHUP) != 0
    }

    /// Sends a descriptor beside its reply, behind the replies that are due.
    /// - Returns: whether all were taken; who asks for this has not sent much ahead.
    private mutating func handOver(_ table: PopmapTableFile) -> Bool {
        guard flush() == true else { return false }
        var reply: [UInt8] = []
        Wire.append(.found(Array("table".utf8)), to: &reply)
        return linux_send_descriptor(descriptor, reply, reply.count, table.descriptor) == reply.count
    }

    /// Answers every whole request that is here.
    /// - Returns: whether all replies were taken; nil where the connection must go.
    private mutating func replyToAll(_ answer: (Wire.Request?, UInt64) -> ServiceReply) -> Bool? {
        guard let taken = flush() else { return nil }
        if !taken { return false }
        var now = ServiceClock.now()
        var began = now
        do {
            while let payload = try input.next() {
                switch answer(Wire.request(payload), now > received ? now - received : 0) {
                case .answer(let answer): Wire.append(answer, to: &output)
                case .table(let table): guard handOver(table) else { return nil }
                }
                // Replies share a write, but none waits for the slow lookup of the next.
                now = ServiceClock.now()
                if output.count >= Self.outputLimit || now &- began > ServiceClock.patience {
                    guard let taken = flush() else { return nil }
                    if !taken { return false }
                    began = now
                }
            }
        } catch {
            // What was asked properly is answered before the connection goes.
            _ = flush()
            return nil
        }
        return flush()
    }
}

/// Time as the workers need it.
enum ServiceClock {
    /// Nanoseconds a finished reply may wait for company.
    static let patience: UInt64 = 1_000_000

    /// Nanoseconds on the monotonic clock.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }
}
