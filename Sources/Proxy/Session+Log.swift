import Logging
import Loop
import TLS

/// What the log has of a session, in the words that programs read.
extension Session {
    static func route(_ source: SocketAddress, _ destination: SocketAddress) -> String {
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

    func transcript(_ peer: StaticString) -> (Bool, [UInt8]) -> Void {
        let log = services.log
        var transcript = Transcript(peer, masks: options.logPasswd != .always)
        return { sent, bytes in log.debug("\(transcript.line(sent: sent, bytes))") }
    }

    func logAuth(_ attempt: Attempt, failure: Refusal?) {
        let record = record(of: attempt)
        let status = failure.map { "failed: \($0.reason)" } ?? "ok"
        record.writeAuth(status, password: shownPassword(attempt, failed: failure != nil), to: services.lines)
    }

    /// The password, where `--log_passwd` and `--debug` ask for it.
    private func shownPassword(_ attempt: Attempt, failed: Bool) -> String? {
        guard options.debug, options.logPasswd.shows(failed: failed) else { return nil }
        // A token is good for more than mail, and nobody can have mistyped it.
        guard attempt.credentials.token == nil else { return attempt.credentials.password.description }
        return attempt.credentials.password.withBytes { Printable.escaped($0) }
    }

    func record(of attempt: Attempt) -> LoginRecord {
        let credentials = attempt.credentials
        return LoginRecord(
            route: route, authentication: Printable.escaped(credentials.authenticationID),
            authorization: credentials.authorizationID.map { Printable.escaped($0) }, host: attempt.host,
            port: attempt.port, clientSecurity: client.security, serverSecurity: attempt.serverSecurity,
            protocolName: options.protocolName)
    }

    func logEnd(_ end: SessionEnd) {
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
