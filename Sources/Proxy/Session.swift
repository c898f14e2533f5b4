import Logging
import Lookup
import Loop
import Synchronization
import TLS

/// One client's connection from its greeting to the hand-over: straight code that reads as the manual tells it.
final class Session: Visitor {
    /// Milliseconds one address of a real server gets to accept a connection.
    static let connectPatience: UInt64 = 10_000
    /// Milliseconds a real server gets for each answer before the login, whatever longer time clients get.
    static let serverPatience: UInt64 = 60_000

    private let services: Services
    private let router: Router
    private let client: Stream
    private let source: SocketAddress
    private let destination: SocketAddress
    private let route: String

    /// A session over an accepted connection.
    init(_ channel: Channel, services: Services, router: Router, source: SocketAddress) {
        self.services = services
        self.router = router
        self.source = source
        destination = SocketAddress.of(channel.descriptor, peer: false)
        let patience = UInt64(clamping: services.options.authenticateTimeout) &* 1000
        client = Stream(channel, patience: patience == 0 ? nil : patience)
        route = "\(source.host):\(source.port)->\(destination.host):\(destination.port)"
    }

    private var options: Options { services.options }

    /// Serves the client until its login, and starts the relay.
    /// - Returns: the relay that took over; nil where the session is over.
    func run() async -> Relay? {
        services.log.info("Connect:  \(route)")
        do throws(SessionEnd) {
            return try await serve()
        } catch {
            client.close()
            logEnd(error)
            return nil
        }
    }

    /// Ends the session: whoever waits for the client wakes up to a closed connection.
    func stop() {
        client.close()
    }

    private func serve() async throws(SessionEnd) -> Relay? {
        let identity = await "ready on \(hostName()) \(options.checksumText)"
        let dialogue = makeClient(
            Front(stream: client, options: options, identity: identity, pauseLength: services.pauseLength))
        try await dialogue.greet()
        while true {
            let credentials = try await dialogue.readCredentials()
            var attempt = Attempt(credentials: credentials)
            do throws(ServerError) {
                let (server, login) = try await logIn(&attempt, identity: identity)
                do throws(SessionEnd) {
                    try await dialogue.accept(login)
                } catch {
                    server.close()
                    throw .broken("")
                }
                logAuth(attempt, status: "ok")
                return relay(server, attempt)
            } catch {
                if client.channel.isClosed || error == .broken("") { throw .client(.closed) }
                if case .broken(let what) = error {
                    services.log.info(
                        "Real server \(attempt.host ?? "(null)"):\(attempt.port ?? "(null)") \(what) (client \(route))")
                }
                try await dialogue.refuse(error.refusal)
                logAuth(attempt, status: "failed: \(error.refusal.reason)")
            }
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
        var serverSecurity = "plaintext"
    }

    private func logIn(
        _ attempt: inout Attempt, identity: String
    ) async throws(ServerError) -> (Stream, AcceptedLogin) {
        guard !Front.loginDisabled(options, client) else { throw .refused(.loginDisabled) }
        attempt.port = options.outgoingPortText
        let names = UserName(options)
        let place: Destination
        switch await router.route(
            attempt.credentials.routedID, names: names, source: source, destination: destination)
        {
        case .found(let found, let name):
            place = found
            attempt.rename(to: options.usernameFromDatabase ? found.user ?? name : name)
        case .none: throw .refused(.noServer)
        case .unavailable(let reason):
            services.log.error("Popmap: \(Printable.text(reason.utf8)) (client \(route))")
            throw .refused(.mapUnavailable)
        }
        attempt.host = place.host
        attempt.port = place.port ?? options.outgoingPortText

        let server = try await connect(place)
        do throws(ServerError) {
            let dialogue = makeServer(Back(stream: server, options: options, identity: identity, host: place.host))
            try await dialogue.open()
            let credentials = attempt.credentials.mangled { names.form(of: $0, for: .remoteLogin) }
            do throws(ServerError) {
                return (server, try await dialogue.logIn(credentials))
            } catch {
                if case .refused = error { await dialogue.quit() }
                throw error
            }
        } catch {
            server.close()
            throw error
        }
    }

    private func connect(_ place: Destination) async throws(ServerError) -> Stream {
        let addresses: [SocketAddress]
        do throws(Resolver.Failure) {
            addresses = try await services.resolver.resolve(host: place.host, port: place.port ?? defaultPort)
        } catch {
            services.log.error("Real server \(error.reason) (client \(route))")
            throw .refused(.notConnected)
        }
        for address in addresses {
            do throws(ConnectError) {
                let patience = min(client.patience ?? Self.connectPatience, Self.connectPatience)
                let channel = try await Channel.connect(to: address, on: client.channel.thread, within: patience)
                return Stream(channel, patience: min(client.patience ?? Self.serverPatience, Self.serverPatience))
            } catch {
                services.log.info("Real server \(address): \(Self.explain(error)) (client \(route))")
            }
        }
        throw .refused(.notConnected)
    }

    private var defaultPort: String { options.outgoingPort ?? String(options.protocolName.defaultPort) }

    private static func explain(_ error: ConnectError) -> String {
        switch error {
        case .refused(let reason): reason.description
        case .timedOut: "no answer within \(connectPatience / 1000) s"
        }
    }

    // MARK: Hand-over

    private func relay(_ server: Stream, _ attempt: Attempt) -> Relay {
        let account = Relay.Account(
            log: services.log,
            label: "\(route) \(attempt.credentials.logFields)",
            services: services)
        let timeout = UInt64(clamping: options.timeout) &* 1000
        return Relay(client: client, server: server, timeout: timeout == 0 ? nil : timeout, account: account)
    }

    private func makeClient(_ front: Front) -> any MailClient {
        switch options.protocolName {
        case .imap4, .imap4s: IMAP4Client(front)
        case .pop3, .pop3s, .managesieve: POP3Client(front)
        }
    }

    private func makeServer(_ back: Back) -> any MailServer {
        switch options.protocolName {
        case .imap4, .imap4s: IMAP4Server(back)
        case .pop3, .pop3s, .managesieve: POP3Server(back)
        }
    }

    private func hostName() async -> String {
        if options.noBindBanner { return services.nodeName }
        if options.noLookup { return destination.host }
        return await services.resolver.name(of: destination)
    }

    // MARK: Log

    private func logAuth(_ attempt: Attempt, status: String) {
        services.log.notice(
            """
            Auth: \(route) client-secure=plaintext \(attempt.credentials.logFields) \
            server="\(attempt.host ?? "(null)"):\(attempt.port ?? "(null)")" \
            protocol=\(options.protocolName.logName) server-secure=\(attempt.serverSecurity) status="\(status)"
            """)
    }

    private func logEnd(_ end: SessionEnd) {
        switch end {
        case .loggedOut:
            services.log.info("Closing NULL session: \(route) authorisation_id=NONE authentication_id=\"(null)\"")
        case .client(.timedOut):
            services.log.error(
                "Fatal Error: Timeout reading authentication information from client \(route): Exiting child")
        case .client:
            services.log.error("Fatal Error reading authentication information from client \(route): Exiting child")
        }
    }
}

extension Credentials {
    /// The two fields every log line of a login has.
    var logFields: String {
        let authorization = authorizationID.map { "\"\(Printable.escaped($0))\"" } ?? "NONE"
        return "authorisation_id=\(authorization) authentication_id=\"\(Printable.escaped(authenticationID))\""
    }

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
