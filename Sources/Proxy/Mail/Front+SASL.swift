/// What an AUTHENTICATE (IMAP4) or AUTH (POP3) came to.
enum SASLOutcome {
    /// Name and password, or token.
    case credentials(Credentials)
    /// The client has to hear what is wrong.
    case fault(String)
    /// The mechanism is not one of those on offer.
    case unknownMechanism
    /// Nobody may log in now, so nobody was asked for a password.
    case loginDisabled
}

extension Front {
    /// The mechanisms on offer, as long as logins are.
    var mechanisms: [Mechanism] { options.saslMechanisms }

    /// The exchange of AUTHENTICATE and AUTH, which IMAP4 and POP3 write in the same way (RFC 9051 section 6.2.2, RFC
    /// 5034 section 4).
    /// - Parameter argument: what stands behind the command: a mechanism, and maybe an initial response, where `=` is the
    ///   empty one (RFC 4959). The caller wipes it.
    func authenticate(_ argument: [UInt8]) async throws(SessionEnd) -> SASLOutcome {
        let end = argument.firstIndex(of: UInt8(ascii: " ")) ?? argument.count
        guard let mechanism = Mechanism(argument[..<end]), mechanisms.contains(mechanism) else {
            return .unknownMechanism
        }
        guard !capabilities.loginDisabled else { return .loginDisabled }
        var initial = end < argument.count ? [UInt8](argument[(end + 1)...]) : nil
        defer { initial?.wipe() }
        if initial == [UInt8(ascii: "=")] { initial = [] }
        var exchange = SASLExchange(mechanism)
        var step = exchange.begin(initial)
        while true {
            switch step {
            case .done(let credentials): return .credentials(credentials)
            case .fault(let text): return .fault(text)
            case .challenge(let text):
                try await send("+ \(text)")
                var response = try await line()
                defer { response.wipe() }
                step = exchange.take(response)
            }
        }
    }

    /// Shows the client why the real server refuses its token, and takes the answer that the mechanism asks for before
    /// the refusal itself (RFC 7628 section 3.2.3).
    func showChallenge(of refusal: Refusal) async throws(SessionEnd) {
        guard let challenge = refusal.challenge else { return }
        try await send(Array("+ ".utf8) + challenge + [13, 10])
        do throws(StreamError) {
            var answer = try await stream.line()
            answer.wipe()
        } catch {
            // The refusal stands, whatever the client makes of it; it is logged, and the next line ends the session.
        }
    }
}
