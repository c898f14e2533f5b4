import Loop

/// One direction of a relay: from one end to the other, with what could not be passed on at once.
struct Flow {
    /// Where a step of a flow ended.
    enum Progress: Equatable {
        /// Nothing more can be done until the loop says so.
        case blocked
        /// It was others' turn; there is more to do at once.
        case yielded
        /// The source has ended and everything is passed on.
        case ended
        /// One of the ends is broken.
        case failed
    }

    /// Reads in a row before other sessions have their turn.
    static let burst = 8
    /// Bytes passed on that show a sink that reads.
    static let bulk: UInt64 = 512 * 1024
    /// Bytes that the system takes ahead of such a sink, so that it need not ask for each few of them.
    static let ahead: Int32 = 1 << 20
    /// Bytes of the first read; a flow that the sink takes whole grows up to the loop's shared room.
    static let firstStep = 16 * 1024

    private var pending: [UInt8] = []
    private var sent = 0
    private var step = Flow.firstStep
    private var sourceEnded = false
    private var isBulk = false
    /// Whether the sink has been told that nothing more comes.
    private(set) var ended = false
    /// Whether the last that was read is a command that ends a session.
    private(set) var endsInGoodbye = false
    /// Bytes passed on so far.
    private(set) var count: UInt64 = 0
    /// Bytes read and not passed on yet; never more than one read.
    var waiting: Int { pending.count - sent }

    /// Whether everything that was read is passed on and more could follow.
    var isClear: Bool { sent == pending.count && !ended }

    /// A flow that begins with what was read during the login.
    init(leftover: [UInt8]) {
        pending = leftover
    }

    /// Passes on what can be passed on now.
    /// - Parameter closing: whether the connection to the sink is closed when this flow ends, which tells it so.
    mutating func run(from source: Stream, to sink: Stream, closing: Bool) -> Progress {
        guard !ended else { return .ended }
        for _ in 0..<Self.burst {
            if sent < pending.count {
                switch drainPending(to: sink) {
                case .moved: continue
                case .wouldBlock: return .blocked
                case .closed, .failed: return .failed
                }
            }
            if sourceEnded {
                if !closing { sink.endOutput() }
                ended = true
                return .ended
            }
            let room = UnsafeMutableRawBufferPointer(rebasing: source.channel.thread.scratch.prefix(step))
            switch source.read(into: room) {
            case .moved(let size):
                guard pass(UnsafeRawBufferPointer(rebasing: room.prefix(size)), from: source, to: sink) else {
                    return .failed
                }
            case .wouldBlock: return .blocked
            case .closed: sourceEnded = true
            case .failed: return .failed
            }
        }
        return .yielded
    }

    private mutating func pass(_ bytes: UnsafeRawBufferPointer, from source: Stream, to sink: Stream) -> Bool {
        endsInGoodbye = bytes.count <= Self.longestGoodbye && Self.isGoodbye(bytes)
        var taken = 0
        // Behind a source that has ended comes more, or the end, with the next read: both leave in one segment.
        switch sink.write(bytes, more: source.channel.isEnding) {
        case .moved(let size): taken = size
        case .wouldBlock: break
        case .closed, .failed: return false
        }
        count &+= UInt64(taken)
        if taken == bytes.count {
            if bytes.count == step { step = min(step * 2, LoopThread.scratchSize) }
            if count >= Self.bulk, !isBulk {
                isBulk = true
                limitUnsent(sink.channel.descriptor, bytes: Self.ahead)
            }
        } else {
            step = Self.firstStep
            pending = Array(bytes[taken...])
            sent = 0
        }
        return true
    }

    /// Bytes of a tag and LOGOUT, with room to spare; what is longer is not looked at.
    private static let longestGoodbye = 64

    /// Whether a line ends in LOGOUT (RFC 9051 section 6.1.3, RFC 5804 section 2.3) or QUIT (RFC 1939).
    private static func isGoodbye(_ line: UnsafeRawBufferPointer) -> Bool {
        ends(line, with: "LOGOUT\r\n") || ends(line, with: "QUIT\r\n")
    }

    private static func ends(_ line: UnsafeRawBufferPointer, with word: StaticString) -> Bool {
        word.withUTF8Buffer { word in
            // Letters differ in one bit; that the line's end may differ in it, too, does no harm.
            line.count >= word.count && zip(line.suffix(word.count), word).allSatisfy { $0 | 0x20 == $1 | 0x20 }
        }
    }

    private mutating func drainPending(to sink: Stream) -> IOResult {
        let result = pending.withUnsafeBytes { sink.write(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
        if case .moved(let size) = result {
            sent += size
            count &+= UInt64(size)
            if sent == pending.count {
                pending = []
                sent = 0
            }
        }
        return result
    }
}
