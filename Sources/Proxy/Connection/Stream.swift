import CLinux
import Glibc
import Loop
import TLS

/// Why a conversation with one end cannot go on.
enum StreamError: Error, Equatable {
    /// The peer closed the connection.
    case closed
    /// The peer said nothing, or took nothing, for the time allowed.
    case timedOut
    /// The system or TLS reports a fault.
    case failed(String)
    /// A line without end.
    case lineTooLong
}

/// How a connection is protected, in the words of the log.
enum Security: String {
    /// Not at all.
    case plaintext
    /// TLS since the first byte.
    case ssl
    /// TLS since STARTTLS or STLS.
    case starttls
}

/// One end of a session: a channel, the TLS layer once there is one, and during login the lines that wait.
final class Stream {
    /// Bytes read at once, at most, while lines are waited for: more than what most say in a login, and little enough that
    /// thousands who say much without need leave it with the system.
    private static let readSize = 2048

    /// The descriptor below.
    let channel: Channel
    /// The layer between; nil while bytes go in clear text.
    @exclusivity(unchecked) private var tls: TLSConnection?
    /// How the connection came to be protected, for the log.
    @exclusivity(unchecked) private(set) var security = Security.plaintext
    /// TLS wanted to write before it could read on: so the wait is for the other edge.
    @exclusivity(unchecked) private var readsNeedWriting = false
    /// Lines read and not used yet.
    @exclusivity(unchecked) private var reader = LineReader()
    /// How long a line, a literal, an answer or a handshake may take as a whole, in milliseconds; nil for ever.
    @exclusivity(unchecked) var patience: UInt64?
    /// When the line, literal or answer that is waited for was first asked for, on the loop's clock: its lower half,
    /// which finds room behind `patience` in objects that live as long as sessions.
    @exclusivity(unchecked) private var since: UInt32 = 0
    /// Told of every piece sent and received, for `--connection_logging`; nil otherwise.
    @exclusivity(unchecked) var transcript: ((_ sent: Bool, _ bytes: [UInt8]) -> Void)?

    /// A stream over a connected channel.
    init(_ channel: Channel, patience: UInt64?) {
        self.channel = channel
        self.patience = patience
    }

    deinit {
        // The beginning of a line that never came to its end may be that of a password.
        reader.discard()
    }

    /// Bytes that were read and that nobody has used yet.
    var waiting: Int { reader.count }

    /// The layer between; nil while bytes go in clear text.
    var secured: TLSConnection? { tls }

    /// Whether TLS is up.
    var isPrivate: Bool { tls != nil }

    /// The place of its TLS version in ``Tally/versions``.
    var grade: Int { tls.map { max(0, min(Tally.versions.count - 1, $0.versionNumber - 0x0300)) } ?? 0 }

    /// Closes the connection. More calls do nothing.
    func close() {
        guard !channel.isClosed else { return }
        sayGoodbye()
        tls = nil
        channel.close()
    }

    // MARK: TLS

    /// Puts TLS between, and completes the handshake.
    /// - Parameters:
    ///   - connection: over this stream's descriptor.
    ///   - security: what the log is to say.
    /// - Throws: `StreamError`; bytes that were sent in clear text behind the command that led here are an attack
    ///   (RFC 9051 section 11.1, CVE-2011-0411).
    func startTLS(_ connection: TLSConnection, as security: Security) async throws(StreamError) {
        since = now
        guard waiting == 0 else { throw .failed("clear text was sent ahead of the TLS handshake") }
        while true {
            connection.expect(readable: channel.readable, isEnding: channel.isEnding)
            let step = connection.handshake()
            channel.thread.spendLong()
            if connection.isDrained { channel.wouldBlockReading() }
            switch step {
            case .done:
                tls = connection
                self.security = security
                return
            case .wantRead:
                channel.wouldBlockReading()
                try await wait(forWriting: false)
            case .wantWrite:
                channel.wouldBlockWriting()
                try await wait(forWriting: true)
            case .closed: throw .closed
            case .failed(let error): throw .failed(error.description)
            }
        }
    }

    // MARK: Non-blocking, for the relay

    /// Reads once.
    func read(into room: UnsafeMutableRawBufferPointer) -> IOResult {
        guard let tls else { return channel.receive(into: room) }
        readsNeedWriting = false
        tls.expect(readable: channel.readable, isEnding: channel.isEnding)
        let step = tls.read(into: room)
        if tls.isDrained { channel.wouldBlockReading() }
        switch step {
        case .done(let count): return .moved(count)
        case .wantRead: channel.wouldBlockReading()
        case .wantWrite:
            channel.wouldBlockWriting()
            readsNeedWriting = true
        case .closed: return .closed
        case .failed: return .failed(Errno(EPROTO))
        }
        return .wouldBlock
    }

    /// Writes what can be written at once.
    /// - Parameter more: whether more, or the end, follows at once.
    func write(_ bytes: UnsafeRawBufferPointer, more: Bool = false) -> IOResult {
        guard let tls else { return channel.send(bytes, more: more) }
        var sent = 0
        while sent < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
            switch tls.write(rest, more: more, room: channel.thread.sealingRoom) {
            case .done(let count):
                sent += count
                continue
            // OpenSSL never reads in order to write: renegotiation is off.
            case .wantWrite, .wantRead: channel.wouldBlockWriting()
            case .closed: return .closed
            case .failed: return .failed(Errno(EPROTO))
            }
            return sent > 0 ? .moved(sent) : .wouldBlock
        }
        return .moved(sent)
    }

    /// Ends our direction and leaves the other open.
    func endOutput() {
        sayGoodbye()
        channel.endOutput()
    }

    /// The goodbye of TLS shares a segment with the connection's end, which follows at once.
    private func sayGoodbye() {
        guard let tls else { return }
        _ = tls.shutdown()
    }

    // MARK: Waiting, for the login

    /// The next line without its end.
    /// - Throws: `StreamError`.
    func line() async throws(StreamError) -> [UInt8] {
        since = now
        while true {
            var whole = transcript == nil ? [] : reader.peekLine()
            defer { whole.wipe() }
            switch reader.nextLine() {
            case .line(let line):
                transcript?(false, whole)
                return line
            case .tooLong: throw .lineTooLong
            case .incomplete: try await fill()
            }
        }
    }

    /// Exactly so many bytes: a literal, whose size the caller has checked.
    /// - Throws: `StreamError`.
    func bytes(_ count: Int) async throws(StreamError) -> [UInt8] {
        since = now
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while true {
            var piece = reader.take(atMost: count - bytes.count)
            bytes.append(contentsOf: piece)
            piece.wipe()
            if bytes.count == count { return bytes }
            try await fill()
        }
    }

    /// Sends all of it.
    /// - Parameter more: whether more follows at once and may share a segment.
    /// - Throws: `StreamError`.
    func send(_ bytes: [UInt8], more: Bool = false) async throws(StreamError) {
        since = now
        transcript?(true, bytes)
        var sent = 0
        while sent < bytes.count {
            let result = bytes.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[sent...]), more: more) }
            switch result {
            case .moved(let count): sent += count
            case .closed: throw .closed
            case .failed(let error): throw .failed(error.description)
            case .wouldBlock: try await wait(forWriting: true)
            }
        }
    }

    /// Everything read and not used yet; the memory for lines is given up.
    func takeRest() -> [UInt8] {
        reader.takeAll()
    }

    /// Forgets what was read and not used yet; says how many bytes it was.
    func discardRest() -> Int {
        reader.discard()
    }

    /// Ends our direction and reads on for a while, so that a peer in the middle of sending gets to see our last words
    /// instead of a reset.
    func drain() async {
        endOutput()
        patience = 1000
        let room = channel.thread.scratch
        for _ in 0..<256 {
            switch read(into: room) {
            // Others have their turn, however much comes.
            case .moved: await channel.thread.queueUp()
            case .closed, .failed: return
            case .wouldBlock: if await channel.waitReadable(within: patience) != .ready { return }
            }
        }
    }

    private func fill() async throws(StreamError) {
        while true {
            let size = max(min(reader.room, Self.readSize), 1)
            let room = UnsafeMutableRawBufferPointer(rebasing: channel.thread.scratch.prefix(size))
            switch read(into: room) {
            case .moved(let count):
                let piece = UnsafeMutableRawBufferPointer(rebasing: room.prefix(count))
                reader.append(UnsafeRawBufferPointer(piece))
                linux_wipe(piece.baseAddress, count)
                return
            case .closed: throw .closed
            case .failed(let error): throw .failed(error.description)
            case .wouldBlock: try await wait(forWriting: readsNeedWriting)
            }
        }
    }

    private var now: UInt32 { UInt32(truncatingIfNeeded: channel.thread.now) }

    private func wait(forWriting: Bool) async throws(StreamError) {
        // A byte now and then buys no time.
        let left = patience.map { $0 - min($0, UInt64(now &- since)) }
        let wakeup =
            forWriting ? await channel.waitWritable(within: left) : await channel.waitReadable(within: left)
        switch wakeup {
        case .ready: break
        case .timedOut: throw .timedOut
        case .closed: throw .closed
        }
    }
}
