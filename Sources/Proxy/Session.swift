import Logging
import Loop
import TLS

/// One client's connection from its greeting to the hand-over: straight code that reads as the manual tells it.
final class Session: Visitor {
    let services: Services
    /// Those of the listener it came in by.
    let settings: Settings
    let router: Router
    let authentication: LocalAuthentication?
    let tlsSessions: TLSSessions?
    let memory: CapabilityMemory
    let client: Stream
    let source: SocketAddress
    let destination: SocketAddress
    let route: String
    /// What follows the addresses in the Connect line.
    private let note: String
    let tally: Tally
    /// When it began, on the loop's clock.
    let since: UInt64
    /// What the client says it is, once it has said so, and the real server that is tried.
    @exclusivity(unchecked) private(set) var user: [UInt8]?
    @exclusivity(unchecked) var realServer: String?
    @exclusivity(unchecked) var isKicked = false
    /// When name and password were there, and when the real server was looked for (``Tally/clock()``). Here, as what a
    /// suspended function keeps costs more.
    @exclusivity(unchecked) private(set) var begun: UInt64 = 0
    @exclusivity(unchecked) var connectBegun: UInt64 = 0
    /// As whom the client is counted; nil for not at all.
    private let origin: Origin?
    /// The session as one of its user's, once it is logged in.
    @exclusivity(unchecked) private(set) var guest: Door.Guest?
    /// Whether it waits for its client, which may be sent away to make room.
    @exclusivity(unchecked) private(set) var isWaiting = true
    @exclusivity(unchecked) var place: Int32 = 0
    /// Its neighbours in the `Queue`.
    @exclusivity(unchecked) var earlier: Session?
    @exclusivity(unchecked) var later: Session?
    /// Why the session ended before its login; nil as long as it has not.
    @exclusivity(unchecked) private(set) var end: SessionEnd?

    /// A session over an accepted connection.
    init(
        _ channel: Channel, services: Services, settings: Settings, router: Router,
        authentication: LocalAuthentication?,
        tlsSessions: TLSSessions?, memory: CapabilityMemory, source: SocketAddress,
        destination: SocketAddress? = nil, origin: Origin? = nil, note: String = "", tally: Tally = .unread()
    ) {
        self.services = services
        self.tally = tally
        since = channel.thread.now
        self.settings = settings
        self.router = router
        self.authentication = authentication
        self.tlsSessions = tlsSessions
        self.memory = memory
        self.source = source
        self.note = note
        self.origin = origin
        let destination = destination ?? SocketAddress.of(channel.descriptor, peer: false)
        self.destination = destination
        let patience = UInt64(clamping: settings.options.authenticateTimeout) &* 1000
        client = Stream(channel, patience: patience == 0 ? nil : patience)
        route = Self.route(source, destination)
    }

    var options: Options { _read { yield settings.options } }

    /// Serves the client until its login, and starts the relay.
    /// - Returns: the relay that took over; nil where the session is over.
    func run() async -> Relay? {
        services.lines.write(.info, capacity: route.utf8.count + note.utf8.count + 10) { text in
            text.append("Connect:  ")
            text.append(route)
            text.append(note)
        }
        do throws(SessionEnd) {
            return try await serve()
        } catch {
            end = error
            // Ahead of the close: whoever waits for that finds the line.
            logEnd(error)
            client.close()
            return nil
        }
    }

    /// Ends the session: whoever waits for the client wakes up to a closed connection.
    func stop() {
        client.close()
    }

    /// Ends the session of a client that has not logged in, to make room.
    func sendAway(_ text: StaticString) {
        if client.isPrivate || !options.sslMode.contains(.sslListen) {
            _ = Farewell.bytes(text, options.protocolName).withUnsafeBytes { client.write($0) }
        }
        client.close()
    }

    private func serve() async throws(SessionEnd) -> Relay? {
        if options.debug, options.connectionLogging { client.transcript = transcript("CLIENT") }
        let (name, checksum) = (await hostName(), services.checksum)
        let identity = LineText.make(capacity: name.utf8.count + checksum.utf8.count + 10) { text in
            text.append("ready on ")
            text.append(name)
            text.append(" ")
            text.append(checksum)
        }
        let front = Front(
            stream: client, settings: settings, identity: identity, listenTLS: services.tls.listen,
            pauseLength: services.pauseLength)
        if options.sslMode.contains(.sslListen) { try await front.startTLS(as: .ssl) }
        let dialogue = makeClient(front)
        try await dialogue.greet()
        var failures = 0
        while true {
            isWaiting = true
            let credentials = try await dialogue.readCredentials()
            isWaiting = false
            user = credentials.routedID
            begun = Tally.clock()
            var attempt = Attempt(credentials: credentials)
            do throws(ServerError) {
                let (server, login) = try await logIn(&attempt, identity: identity, hops: dialogue.hops)
                try receive(attempt, server)
                do throws(SessionEnd) {
                    try await dialogue.accept(login)
                } catch {
                    server.close()
                    services.door.leave(guest)
                    throw .broken("")
                }
                logAuth(attempt, failure: nil)
                tally.measure(.login, since: begun)
                tally.login(options.protocolName, nil)
                tally.session(clientTLS: client.grade, serverTLS: server.grade)
                return relay(server, attempt, idleFarewell: dialogue.idleFarewell)
            } catch {
                try await refuse(attempt, error, by: dialogue, &failures)
            }
        }
    }

    /// Tells the client that it is not logged in, and takes note of it. Apart from `serve()`, whose memory each login takes.
    private func refuse(
        _ attempt: Attempt, _ error: ServerError, by dialogue: any MailClient, _ failures: inout Int
    ) async throws(SessionEnd) {
        if client.channel.isClosed || error == .broken("") { throw .client(.closed) }
        if case .broken(let what) = error {
            services.log.info(
                "Real server \(attempt.host ?? "(null)"):\(attempt.port ?? "(null)") \(what) (client \(route))")
        }
        tally.login(options.protocolName, error.refusal)
        let isGuess = attempt.wasGuess || error.refusal.isGuess
        failures += isGuess ? 1 : 0
        let front = dialogue.front
        front.pauseLength =
            isGuess ? services.door.fail(origin, now: client.channel.thread.now) : services.pauseLength
        try await dialogue.refuse(error.refusal)
        if error == .refused(.localAuthentication) {
            services.log.info("Local authentication failure for client: Allowing retry.")
        }
        logAuth(attempt, failure: error.refusal)
        if options.failuresPerConnection > 0, failures >= options.failuresPerConnection {
            try await front.dismiss("Too many failed logins, mate")
        }
    }

    /// Counts a login that went well, unless its user has too many sessions.
    private func receive(_ attempt: Attempt, _ server: Stream) throws(ServerError) {
        switch services.door.receive(attempt.credentials.routedID, origin, now: client.channel.thread.now) {
        case .welcome(let guest): self.guest = guest
        case .tooMany:
            server.close()
            throw .refused(.tooManySessions)
        }
    }

    // MARK: Hand-over

    private func relay(_ server: Stream, _ attempt: Attempt, idleFarewell: [UInt8]?) -> Relay {
        client.transcript = nil
        let account = Relay.Account(services: services, record: record(of: attempt), tally: tally)
        let timeout = UInt64(clamping: options.timeout) &* 1000
        let relay = Relay(client: client, server: server, timeout: timeout == 0 ? nil : timeout, account: account)
        relay.idleFarewell = idleFarewell
        return relay
    }

    private func makeClient(_ front: Front) -> any MailClient {
        switch options.protocolName {
        case .imap4, .imap4s: IMAP4Client(front)
        case .pop3, .pop3s: POP3Client(front)
        case .managesieve: ManageSieveClient(front)
        }
    }

    private func hostName() async -> String {
        if options.noBindBanner || options.inetdMode { return services.nodeName }
        if options.noLookup { return destination.host }
        return await services.resolver.name(of: destination)
    }
}
