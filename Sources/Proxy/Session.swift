import Authentication
import Logging
import Lookup
import Loop
import Synchronization
import TLS

/// One client's connection from its greeting to the hand-over: straight code that reads as the manual tells it.
final class Session: Visitor {
    private let services: Services
    /// Those of the listener it came in by.
    private let settings: Settings
    private let router: Router
    private let authentication: LocalAuthentication?
    private let tlsSessions: TLSSessions?
    private let memory: CapabilityMemory
    private let client: Stream
    private let source: SocketAddress
    private let destination: SocketAddress
    private let route: String
    /// What follows the addresses in the Connect line.
    private let note: String
    private let tally: Tally
    /// When it began, on the loop's clock.
    private let since: UInt64
    /// What the client says it is, once it has said so, and the real server that is tried.
    private var user: [UInt8]?
    private var realServer: String?
    private var isKicked = false
    /// When name and password were there, and when the real server was looked for (``Tally/clock()``). Here, as what a
    /// suspended function keeps costs more.
    private var begun: UInt64 = 0
    private var connectBegun: UInt64 = 0
    /// As whom the client is counted; nil for not at all.
    private let origin: Origin?
    /// The session as one of its user's, once it is logged in.
    private(set) var guest: Door.Guest?
    /// Whether it waits for its client, which may be sent away to make room.
    private(set) var isWaiting = true
    /// Its neighbours in the `Queue`.
    var earlier: Session?
    var later: Session?
    /// Why the session ended before its login; nil as long as it has not.
    private(set) var end: SessionEnd?

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

    private var options: Options { _read { yield settings.options } }

    /// Serves the client until its login, and starts the relay.
    /// - Returns: the relay that took over; nil where the session is over.
    func run() async -> Relay? {
        services.log.info(Logger.Message(stringLiteral: "Connect:  " + route + note))
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
        let identity = await "ready on \(hostName()) \(services.checksum)"
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
                if client.channel.isClosed || error == .broken("") { throw .client(.closed) }
                if case .broken(let what) = error {
                    services.log.info(
                        "Real server \(attempt.host ?? "(null)"):\(attempt.port ?? "(null)") \(what) (client \(route))")
                }
                tally.login(options.protocolName, error.refusal)
                let isGuess = attempt.wasGuess || error.refusal.isGuess
                failures += isGuess ? 1 : 0
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

    // MARK: One attempt

    /// What one attempt to log in has come to know, for the log.
    struct Attempt {
        /// Who the client says it is.
        var credentials: Credentials
        /// The real server, once it is known.
        var host: String?
        /// Its port, as configured.
        var port: String?
        /// How the connection to the real server is protected.
        var serverSecurity = Security.plaintext
        /// Whether name or password were wrong, although the client does not hear it.
        var wasGuess = false
    }

    private func logIn(
        _ attempt: inout Attempt, identity: String, hops: Int
    ) async throws(ServerError) -> (Stream, AcceptedLogin) {
        guard !Front.loginDisabled(settings, client) else { throw .refused(.loginDisabled) }
        attempt.port = settings.outgoingPort
        let names = await settings.names.adding(domain())
        var place: Destination
        // Measured in each case: a value kept for that would make the suspended login larger.
        switch await router.route(
            attempt.credentials.routedID, names: names, source: source, destination: destination)
        {
        case .found(let found, let name):
            tally.measure(.lookup, since: begun)
            place = found
            attempt.rename(to: options.usernameFromDatabase ? found.user ?? name : name)
        case .none(let name):
            tally.measure(.lookup, since: begun)
            attempt.rename(to: name)
            throw .refused(.noServer)
        case .unavailable(let reason):
            tally.measure(.lookup, since: begun)
            services.log.error("Popmap: \(Printable.text(reason.utf8)) (client \(route))")
            throw .refused(.mapUnavailable)
        }
        attempt.host = place.host
        attempt.port = place.port ?? settings.outgoingPort

        if options.authenticateIn { try await authenticate(attempt.credentials, names) }
        connectBegun = Tally.clock()
        let (server, address) = try await connect(&place, &attempt)
        tally.measure(.connect, since: connectBegun)
        defer { attempt.serverSecurity = server.security }
        do throws(ServerError) {
            let back = Back(
                stream: server, settings: settings, identity: identity, host: place.host, address: address,
                memory: memory, outgoingTLS: services.tls.outgoing, sessions: tlsSessions)
            if let version = options.outgoingProxyProtocol {
                let header = ProxyHeader(source: source, destination: destination)
                try await back.send(header.bytes(version), doing: "sending the PROXY header")
            }
            if options.forwardClientAddress { try back.introduce(source, at: destination, hops: hops) }
            if options.debug, options.connectionLogging { server.transcript = transcript("REAL") }
            if options.sslMode.contains(.sslOutgoing) { try await back.startTLS(as: .ssl) }
            let dialogue = back.makeDialogue()
            try await dialogue.open()
            let credentials = attempt.credentials.mangled { names.form(of: $0, for: .remoteLogin) }
            do throws(ServerError) {
                let login = try await dialogue.logIn(credentials)
                server.transcript = nil
                return (server, login)
            } catch {
                if case .refused = error { await dialogue.quit() }
                throw error
            }
        } catch {
            server.close()
            // A map that cannot be asked now might send the user elsewhere: a wrong password there proves nothing.
            if place.isOld, case .refused(let refusal) = error, refusal.kind == .credentials {
                attempt.wasGuess = true
                throw .refused(.mapUnavailable)
            }
            throw error
        }
    }

    /// `--authenticate_in`. The password is that of the authentication id, so this is the name that PAM gets.
    private func authenticate(_ credentials: Credentials, _ names: UserName) async throws(ServerError) {
        guard credentials.token == nil else { throw .refused(.localAuthentication) }
        let name = names.form(of: credentials.authenticationID, for: .localAuthentication)
        let verdict = await authentication?.check(user: name, password: credentials.password, client: source.host)
        switch verdict ?? .unavailable("there is no authentication helper") {
        case .accepted: return
        case .refused: throw .refused(.localAuthentication)
        case .unavailable(let reason):
            services.log.error("Local authentication: \(Printable.text(reason.utf8)) (client \(route))")
            throw .refused(.authenticationUnavailable)
        }
    }

    /// Connects to the first of the servers that can be reached: each address of each.
    private func connect(
        _ place: inout Destination, _ attempt: inout Attempt
    ) async throws(ServerError) -> (Stream, SocketAddress) {
        repeat {
            attempt.host = place.host
            attempt.port = place.port ?? settings.outgoingPort
            realServer = place.host
            let addresses: [SocketAddress]
            do throws(Resolver.Failure) {
                addresses = try await services.resolver.resolve(host: place.host, port: place.port ?? defaultPort)
            } catch {
                services.log.error("Real server \(error.reason) (client \(route))")
                continue
            }
            for address in addresses {
                do throws(ConnectError) {
                    let channel = try await Channel.connect(
                        to: address, on: client.channel.thread, within: patience(options.connectTimeout))
                    if options.tcpKeepalive { setKeepalive(channel.descriptor) }
                    return (Stream(channel, patience: patience(options.serverTimeout)), address)
                } catch {
                    services.log.info("Real server \(address): \(explain(error)) (client \(route))")
                }
            }
        } while place.advance()
        throw .refused(.notConnected)
    }

    /// Milliseconds a real server gets, never more than clients do; nil for no limit.
    private func patience(_ seconds: Int) -> UInt64? {
        guard seconds > 0 else { return client.patience }
        let own = UInt64(seconds) &* 1000
        return min(client.patience ?? own, own)
    }

    private var defaultPort: String { options.outgoingPort ?? String(options.protocolName.defaultPort) }

    private func explain(_ error: ConnectError) -> String {
        switch error {
        case .refused(let reason): reason.description
        case .timedOut: "no answer within \((patience(options.connectTimeout) ?? 0) / 1000) s"
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

    /// What `--add_domain` appends; nil where there is nothing to append.
    private func domain() async -> [UInt8]? {
        guard !options.addDomain.isEmpty else { return nil }
        return await UserName.domain(options, of: destination, services.resolver)
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

    // MARK: Log

    private static func route(_ source: SocketAddress, _ destination: SocketAddress) -> String {
        let (from, to) = (source.host, destination.host)
        return LineText.make(capacity: from.utf8.count + to.utf8.count + 14) { text in
            text.append(from)
            text.append(":")
            text.append(UInt64(source.port))
            text.append("->")
            text.append(to)
            text.append(":")
            text.append(UInt64(destination.port))
        }
    }

    private func transcript(_ peer: StaticString) -> (Bool, [UInt8]) -> Void {
        let log = services.log
        var transcript = Transcript(peer, masks: options.logPasswd != .always)
        return { sent, bytes in log.debug("\(transcript.line(sent: sent, bytes))") }
    }

    private func logAuth(_ attempt: Attempt, failure: Refusal?) {
        let record = record(of: attempt)
        let status = failure.map { "failed: \($0.reason)" } ?? "ok"
        let line = record.authLine(status, password: shownPassword(attempt, failed: failure != nil))
        services.log.notice(Logger.Message(stringLiteral: line))
    }

    /// The password, where `--log_passwd` and `--debug` ask for it.
    private func shownPassword(_ attempt: Attempt, failed: Bool) -> String? {
        guard options.debug, options.logPasswd.shows(failed: failed) else { return nil }
        // A token is good for more than mail, and nobody can have mistyped it.
        guard attempt.credentials.token == nil else { return attempt.credentials.password.description }
        return attempt.credentials.password.withBytes { Printable.escaped($0) }
    }

    private func record(of attempt: Attempt) -> LoginRecord {
        let credentials = attempt.credentials
        return LoginRecord(
            route: route, authentication: Printable.escaped(credentials.authenticationID),
            authorization: credentials.authorizationID.map { Printable.escaped($0) }, host: attempt.host,
            port: attempt.port, clientSecurity: client.security, serverSecurity: attempt.serverSecurity,
            protocolName: options.protocolName)
    }

    private func logEnd(_ end: SessionEnd) {
        if case .handshake = end { tally.add(.handshakeFailures) }
        switch end {
        case .loggedOut:
            services.log.info("Closing NULL session: \(route) authorisation_id=NONE authentication_id=\"(null)\"")
        case .dismissed(let words): services.log.error("Client \(route) was sent away: \(words)")
        case .client(.timedOut):
            services.log.error(
                "Fatal Error: Timeout reading authentication information from client \(route): Exiting child")
        case .handshake(.ssl, let reason):
            services.log.error(
                "Fatal error establishing SSL connection to client: \(Self.words(reason)) (client \(route))")
        case .handshake(_, let reason):
            services.log.error("Fatal error establishing TLS connection: \(Self.words(reason)) (client \(route))")
        case .client:
            services.log.error("Fatal Error reading authentication information from client \(route): Exiting child")
        }
    }
}

// MARK: What the administrator asks

extension Session {
    /// What there is to see.
    var entry: SessionEntry? {
        guard !client.channel.isClosed else { return nil }
        var entry = SessionEntry(isWaiting ? .waiting : .loggingIn, options.protocolName, route: route)
        if let user { entry.user = Printable.escaped(user) }
        if let realServer { entry.server = realServer }
        entry.clientTLS = Tally.versions[client.grade]
        entry.age = client.channel.thread.now &- since
        return entry
    }

    /// Ends it where somebody logs in with this name.
    func kick(_ names: [String]) -> Bool {
        guard !isWaiting, !isKicked, let user, names.contains(Printable.escaped(user)) else { return false }
        isKicked = true
        sendAway("Your session was ended by the administrator")
        return true
    }
}

extension Session {
    /// What a stream's failure is, for the log.
    private static func words(_ error: StreamError) -> String {
        switch error {
        case .closed: "the client went away"
        case .timedOut: "the client took too long"
        case .failed(let reason): Printable.text(reason.utf8)
        case .lineTooLong: "a line was too long"
        }
    }
}

extension Credentials {
    /// The same with the name that decides about the mailbox in another form.
    func mangled(_ form: ([UInt8]) -> [UInt8]) -> Credentials {
        var changed = self
        if let authorizationID, !authorizationID.isEmpty {
            changed.authorizationID = form(authorizationID)
        } else {
            changed.authenticationID = form(authenticationID)
        }
        return changed
    }
}

extension Session.Attempt {
    /// Takes over the name that routing came to.
    mutating func rename(to name: [UInt8]) {
        credentials = credentials.mangled { _ in name }
    }
}
