import Authentication
import Logging
import Loop
import TLS

/// One attempt to log in: from a name and a password to a real server that takes them.
extension Session {
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

    func logIn(
        _ attempt: inout Attempt, identity: String, hops: Int
    ) async throws(ServerError) -> (Stream, AcceptedLogin) {
        guard !Front.loginDisabled(settings, client) else { throw .refused(.loginDisabled) }
        attempt.port = settings.outgoingPort
        // Nearly nobody has it, and its way to a name takes more memory than all else here.
        let names = options.addDomain.isEmpty ? settings.names : settings.names.adding(await domain())
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
            try introduce(to: back, hops: hops)
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

    /// `--forward_client_address` and `--forward_session_id`.
    private func introduce(to back: Back, hops: Int) throws(ServerError) {
        guard options.forwardClientAddress || options.forwardSessionId else { return }
        let name = options.forwardSessionId ? ClientFacts.newSession() : nil
        try back.introduce(options.forwardClientAddress ? source : nil, at: destination, hops: hops, session: name)
        // A line of its own: those that programs read stay as they are.
        if let name { services.log.notice("Session: \(route) session=<\(name)>") }
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

    /// What `--add_domain` appends; nil where there is nothing to append.
    private func domain() async -> [UInt8]? {
        await UserName.domain(options, of: destination, services.resolver)
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
