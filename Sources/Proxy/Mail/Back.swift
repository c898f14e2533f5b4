import Loop
import TLS

/// What the server halves of all protocols share: the real server's stream, the options, and how to tell that we have
/// reached ourselves.
final class Back {
    /// Milliseconds a server gets to answer LOGOUT or QUIT after a refused login.
    static let farewellPatience: UInt64 = 2000

    /// The real server's connection.
    let stream: Stream
    /// What the administrator set, and what follows from it.
    let settings: Settings
    /// The end of our own greeting.
    let identity: String
    /// The real server's name, for TLS.
    let host: String

    /// Its address.
    let address: SocketAddress
    /// What servers have said they can do; nil where nothing is remembered.
    let memory: CapabilityMemory?
    /// The policy towards real servers; nil where TLS is not asked for.
    let outgoingTLS: TLSContext?
    /// Who the client is, where the real server is to know.
    private(set) var client: ClientFacts?
    /// TLS sessions of this loop that may be resumed.
    let sessions: TLSSessions?

    /// A back for one connection.
    init(
        stream: Stream, settings: Settings, identity: String, host: String, address: SocketAddress,
        memory: CapabilityMemory? = nil, outgoingTLS: TLSContext? = nil, sessions: TLSSessions? = nil
    ) {
        self.stream = stream
        self.settings = settings
        self.identity = identity
        self.host = host
        self.address = address
        self.memory = memory
        self.outgoingTLS = outgoingTLS
        self.sessions = sessions
    }

    /// What the administrator set; lent, not copied.
    var options: Options { _read { yield settings.options } }

    /// What is spoken to the real server.
    func makeDialogue() -> any MailServer {
        switch options.protocolName {
        case .imap4, .imap4s: IMAP4Server(self)
        case .pop3, .pop3s: POP3Server(self)
        case .managesieve: ManageSieveServer(self)
        }
    }

    /// The server as the memory knows it.
    var remembered: CapabilityMemory.Server { .init(address: address, isPrivate: stream.isPrivate) }

    /// Whether TLS is to be started inside the conversation.
    var wantsStartTLS: Bool { options.sslMode.contains(.tlsOutgoing) && !stream.isPrivate }

    /// The next line, without its end.
    func line(doing: StaticString) async throws(ServerError) -> [UInt8] {
        do {
            return try await stream.line()
        } catch {
            throw Self.explain(error, doing)
        }
    }

    /// Exactly so many bytes: a literal, whose size the caller has checked.
    func bytes(_ count: Int, doing: StaticString) async throws(ServerError) -> [UInt8] {
        do {
            return try await stream.bytes(count)
        } catch {
            throw Self.explain(error, doing)
        }
    }

    /// Sends bytes at once; where more follow, they may wait for those.
    func send(_ bytes: [UInt8], more: Bool = false, doing: StaticString) async throws(ServerError) {
        do {
            try await stream.send(bytes, more: more)
        } catch {
            throw Self.explain(error, doing)
        }
    }

    /// Throws where a greeting is our own (manual, LOOP DETECTION).
    func checkLoop(_ greeting: [UInt8]) throws(ServerError) {
        let own = identity.utf8
        guard greeting.count >= own.count, greeting.suffix(own.count).elementsEqual(own) else { return }
        throw .broken("is this proxy itself: the popmap or --outgoing_server sends the user in a circle")
    }

    /// Takes note of who the client is.
    /// - Parameters:
    ///   - source: its address; nil where that is not to be told.
    ///   - hops: proxies that the login may pass, counting this one.
    ///   - session: what the log calls this login; nil where that is not to be told.
    func introduce(
        _ source: SocketAddress?, at destination: SocketAddress, hops: Int, session: String? = nil
    ) throws(ServerError) {
        guard hops > 1 else {
            throw .broken(
                "would be reached by one proxy too many: popmaps or --outgoing_server send the user in a circle")
        }
        var addresses: (SocketAddress, SocketAddress)?
        if let source, source.kind == .v4 || source.kind == .v6 { addresses = (source, destination) }
        guard addresses != nil || session != nil else { return }
        client = ClientFacts(addresses: addresses, session: session, hops: hops - 1)
    }

    /// TLS was wanted and is not on offer: goes on in clear text unless it was demanded.
    /// - Parameter refusal: what the client hears.
    func startTLSMissing(_ refusal: Refusal) throws(ServerError) {
        if options.sslMode.contains(.tlsOutgoingForce) { throw .refused(refusal) }
    }

    /// Says goodbye and reads one answer, without patience for more.
    func farewell(_ command: String) async {
        stream.patience = min(stream.patience ?? Self.farewellPatience, Self.farewellPatience)
        do throws(StreamError) {
            try await stream.send(Array(command.utf8))
            _ = try await stream.line()
        } catch {
            // The login was refused; how this connection ends changes nothing any more.
        }
    }

    /// What a stream's failure means here, for the log.
    static func explain(_ error: StreamError, _ doing: StaticString) -> ServerError {
        switch error {
        case .closed: .broken("closed the connection (\(doing))")
        case .timedOut: .broken("said nothing for too long (\(doing))")
        case .failed(let reason): .broken("\(reason) (\(doing))")
        case .lineTooLong: .broken("sent a line of more than \(LineReader.lineLimit) bytes (\(doing))")
        }
    }
}
