import Loop
import TLS

/// What the client halves of all protocols share: the client's stream, the options, who we say we are, and the pause
/// before every refusal.
final class Front {
    /// Milliseconds between a fault and the answer to it: guessing passwords must not be quick.
    static let pauseLength: UInt64 = 3000

    /// The client's connection.
    let stream: Stream
    /// What the administrator set, and what follows from it.
    let settings: Settings
    /// The end of the greeting: `ready on HOST CHECKSUM`.
    let identity: String
    /// Milliseconds of the next pause.
    var pauseLength: UInt64
    /// Lines read so far.
    @exclusivity(unchecked) private var lines = 0

    /// Keys and certificates for clients; nil where TLS is not asked for.
    let listenTLS: TLSContext?

    /// A front for one connection.
    init(
        stream: Stream, settings: Settings, identity: String, listenTLS: TLSContext? = nil,
        pauseLength: UInt64 = Front.pauseLength
    ) {
        self.stream = stream
        self.settings = settings
        self.identity = identity
        self.listenTLS = listenTLS
        self.pauseLength = pauseLength
    }

    /// What the administrator set; lent, not copied.
    var options: Options { _read { yield settings.options } }

    /// Whether a login would be refused now, whatever the name.
    static func loginDisabled(_ settings: Settings, _ stream: Stream) -> Bool {
        settings.options.loginDisabled || (settings.options.sslMode.contains(.tlsListenForce) && !stream.isPrivate)
    }

    /// Whether STARTTLS is on offer and is all that a login lacks: the client is to hear of privacy only then.
    var asksForPrivacy: Bool { capabilities.offersTLS && capabilities.loginDisabled && !options.loginDisabled }

    /// How the capabilities look now.
    var capabilities: Capabilities.State {
        Capabilities.State(
            offersTLS: options.sslMode.contains(.tlsListen) && !stream.isPrivate,
            loginDisabled: Self.loginDisabled(settings, stream),
            managesLogin: options.sslMode.contains(.tlsListenForce))
    }

    /// The next line, without its end.
    func line() async throws(SessionEnd) -> [UInt8] {
        lines &+= 1
        if lines & Self.linesPerTurn == 0 || (lines > 1 && stream.channel.thread.isCrowded) {
            try await rest(after: lines)
        }
        do {
            return try await stream.line()
        } catch {
            throw .client(error)
        }
    }

    /// Exactly so many bytes.
    func bytes(_ count: Int) async throws(SessionEnd) -> [UInt8] {
        do {
            return try await stream.bytes(count)
        } catch {
            throw .client(error)
        }
    }

    /// Sends bytes at once.
    func send(_ bytes: [UInt8]) async throws(SessionEnd) {
        do {
            try await stream.send(bytes)
        } catch {
            throw .client(error)
        }
    }

    /// Sends a line and its end at once.
    func send(_ line: String) async throws(SessionEnd) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(line.utf8.count + 2)
        bytes.append(contentsOf: line.utf8)
        bytes.append("\r\n")
        try await send(bytes)
    }

    /// Sends a line after the pause; costs a timer, no thread.
    func sendLate(_ line: String) async throws(SessionEnd) {
        await pause()
        try await send(line)
    }

    /// Lets the time pass that every refusal takes.
    func pause() async {
        guard pauseLength > 0 else { return }
        await stream.channel.thread.sleep(pauseLength)
    }
}
