/// Why a login was refused: what the log says, and the response code (RFC 5530, RFC 3206) the client gets beside it.
enum Refusal: Equatable {
    /// The real server did not take name and password; in its own words where it had some.
    case authentication(answer: [UInt8])
    /// The real server did not take a token, and gave an account of why: Base64 that the client is to see.
    case token(challenge: [UInt8], answer: [UInt8])
    /// The real server said that it cannot tell now, `[UNAVAILABLE]` or `[SYS/TEMP]`.
    case realServerUnavailable(answer: [UInt8])
    /// No popmap entry and no `--outgoing_server`.
    case noServer
    /// The popmap could not be asked.
    case mapUnavailable
    /// Nobody listens at the real server's address, or its name is not known.
    case notConnected
    /// The real server did not greet, or talk, as one should.
    case negotiation
    /// Clear-text login is not allowed here, or there.
    case loginDisabled
    /// TLS was demanded and the real server does not offer it.
    case tlsMissing
    /// The real server offers no mechanism we could use.
    case noMechanism
    /// `--authenticate_in` said no.
    case localAuthentication
    /// `--authenticate_in` cannot tell now.
    case authenticationUnavailable
    /// The user has as many sessions as `--sessions_per_user` allows.
    case tooManySessions

    /// What stands behind `failed: ` in the log and in the client's answer.
    var reason: String {
        switch self {
        case .authentication, .token: "Re-Authentication Failure"
        case .realServerUnavailable: "Real server unavailable"
        case .noServer: "Could not determine server"
        case .mapUnavailable: "Temporary lookup failure"
        case .notConnected: "Could not connect to server"
        case .negotiation: "Connection Negotiation Failure"
        case .loginDisabled: "Login Disabled"
        case .tlsMissing: "TLS not present"
        case .noMechanism: "SASL mechanism unavailable"
        case .localAuthentication: "local authentication failure"
        case .authenticationUnavailable: "Temporary authentication failure"
        case .tooManySessions: "Too many sessions"
        }
    }

    /// Whether the cause may pass without the user changing anything.
    enum Kind {
        /// Name or password are wrong.
        case credentials
        /// Something here or behind is out of order.
        case temporary
        /// Not over this connection as it is.
        case privacy
        /// Nobody is at fault, it just does not work.
        case permanent
    }

    /// See `Kind`.
    var kind: Kind {
        switch self {
        case .authentication, .token, .localAuthentication: .credentials
        case .realServerUnavailable, .mapUnavailable, .notConnected, .negotiation, .tlsMissing,
            .authenticationUnavailable, .tooManySessions:
            .temporary
        case .loginDisabled: .privacy
        case .noServer, .noMechanism: .permanent
        }
    }

    /// Whether somebody who tries names and passwords would hear this.
    var isGuess: Bool {
        switch self {
        case .authentication, .token, .localAuthentication, .noServer: true
        default: false
        }
    }

    /// The real server's own words, for `--server_resp_line`.
    var answer: [UInt8]? {
        switch self {
        case .authentication(let answer), .token(_, let answer), .realServerUnavailable(let answer):
            answer.isEmpty ? nil : answer
        default: nil
        }
    }

    /// What the client is to see and to answer ahead of the refusal.
    var challenge: [UInt8]? {
        guard case .token(let challenge, _) = self else { return nil }
        return challenge
    }

    /// The same refusal with the account that went ahead of it.
    func explained(by challenge: [UInt8]?) -> Refusal {
        guard let challenge, case .authentication(let answer) = self else { return self }
        return .token(challenge: challenge, answer: answer)
    }
}
