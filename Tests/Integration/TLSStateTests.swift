import Testing

/// What is on offer, and who may log in, before TLS and after, and that a refused login changes neither.
@Suite(.staged) struct TLSStateTests {
    struct State: Sendable, CustomTestStringConvertible {
        let options: [String]
        /// Which of STARTTLS (STLS) and LOGINDISABLED a client sees.
        let before: Set<String>
        /// The same behind TLS; nil where there is none.
        let after: Set<String>?

        var testDescription: String { options.joined(separator: " ") }

        static let mixed = ["--imap_capability", "IMAP4REV1 starttls LOGINDISABLED IDLE"]
        static let imap4 = [
            State(options: ["--ssl_mode", "none"], before: [], after: nil),
            State(options: ["--login_disabled"], before: ["LOGINDISABLED"], after: nil),
            State(options: ["--ssl_mode", "ssl_outgoing"], before: [], after: nil),
            State(options: ["--ssl_mode", "tls_outgoing_force"], before: [], after: nil),
            State(options: ["--ssl_mode", "tls_listen"], before: ["STARTTLS"], after: []),
            State(options: ["--ssl_mode", "tls_listen_force"], before: ["STARTTLS", "LOGINDISABLED"], after: []),
            State(
                options: ["--ssl_mode", "tls_listen", "--login_disabled"], before: ["STARTTLS", "LOGINDISABLED"],
                after: ["LOGINDISABLED"]),
            State(
                options: ["--ssl_mode", "tls_listen_force", "--login_disabled"], before: ["STARTTLS", "LOGINDISABLED"],
                after: ["LOGINDISABLED"]),
            State(options: mixed + ["--ssl_mode", "none"], before: ["LOGINDISABLED"], after: nil),
            State(
                options: mixed + ["--ssl_mode", "tls_listen"], before: ["STARTTLS", "LOGINDISABLED"],
                after: ["LOGINDISABLED"]),
            State(
                options: mixed + ["--ssl_mode", "tls_listen_force"], before: ["STARTTLS", "LOGINDISABLED"], after: []),
        ]
        static let pop3 = [
            State(options: ["--ssl_mode", "none"], before: [], after: nil),
            State(options: ["--ssl_mode", "tls_listen"], before: ["STLS"], after: []),
            State(options: ["--ssl_mode", "tls_listen_force"], before: ["STLS"], after: []),
            State(options: ["--ssl_mode", "none", "--pop_capability", "UIDL.STLS.USER"], before: [], after: nil),
            State(
                options: ["--ssl_mode", "tls_listen", "--pop_capability", "UIDL.STLS.USER"], before: ["STLS"],
                after: []),
        ]
    }

    @Test(arguments: State.imap4.map { (Flavour.imap4, $0) } + State.pop3.map { (Flavour.pop3, $0) })
    func capabilitiesFollowTheState(_ flavour: Flavour, _ state: State) throws {
        let stand = try TLSStand(flavour, state.options)
        let client = try stand.proxy.client()
        #expect(flavour == .pop3 || client.greeting.contains("[CAPABILITY "))
        if flavour == .imap4 { #expect(TLSStand.known(in: client.greeting) == state.before, "\(client.greeting)") }
        #expect(try client.capabilities(flavour) == state.before)
        _ = try client.logIn(flavour, "joe", "wrong")
        #expect(try client.capabilities(flavour) == state.before, "after a refused login")

        let answer = try client.ask(flavour == .imap4 ? "t STARTTLS" : "STLS")
        guard let after = state.after else {
            #expect(answer.hasPrefix(flavour == .imap4 ? "t BAD " : "-ERR "))
            #expect(try client.capabilities(flavour) == state.before, "after a refused STARTTLS")
            return
        }
        #expect(answer.hasPrefix(flavour == .imap4 ? "t OK " : "+OK "))
        try client.startTLS()
        #expect(try client.capabilities(flavour) == after)
        _ = try client.logIn(flavour, "joe", "wrong")
        #expect(try client.capabilities(flavour) == after, "after a refused login behind TLS")
    }

    @Test(arguments: [["ssl_listen"], ["ssl_all"]]) func nothingIsOnOfferFromTheFirstByte(_ mode: [String]) throws {
        for flavour in Flavour.allCases {
            let stand = try TLSStand(flavour, ["--ssl_mode"] + mode)
            let client = try stand.proxy.client(secure: true)
            #expect(try client.capabilities(flavour) == [])
            let answer = try client.ask(flavour == .imap4 ? "t STARTTLS" : "STLS")
            #expect(answer.hasPrefix(flavour == .imap4 ? "t BAD " : "-ERR "))
        }
    }

    @Test(arguments: Flavour.allCases) func forceAllowsNoLoginBeforeTLS(_ flavour: Flavour) throws {
        let stand = try TLSStand(flavour, ["--ssl_mode", "tls_listen_force"])
        let client = try stand.proxy.client()
        let path = try client.path()
        let refused = try client.logIn(flavour)
        #expect(refused.hasPrefix(flavour == .imap4 ? "a NO " : "-ERR ") && refused.hasSuffix("failed: Login Disabled"))
        #expect(stand.server.connections == 0, "the password went nowhere")
        let line = try stand.proxy.message { $0.hasPrefix("Auth: \(path)") }
        #expect(
            line == "Auth: \(path) client-secure=plaintext authorisation_id=NONE authentication_id=\"joe\" "
                + "server=\"(null):(null)\" protocol=\(flavour.logName) server-secure=plaintext "
                + "status=\"failed: Login Disabled\"")
        _ = try client.ask(flavour == .imap4 ? "t STARTTLS" : "STLS")
        try client.startTLS()
        #expect(try client.logIn(flavour) == flavour.success)
        _ = try stand.proxy.message { $0.hasPrefix("Auth: \(path) client-secure=starttls") && $0.hasSuffix("\"ok\"") }
    }

    @Test(arguments: Flavour.allCases) func aRefusedLoginLeavesTLSAsItIs(_ flavour: Flavour) throws {
        let stand = try TLSStand(flavour, ["--ssl_mode", "tls_listen_force"])
        let client = try stand.proxy.client()
        let path = try client.path()
        _ = try client.ask(flavour == .imap4 ? "t STARTTLS" : "STLS")
        try client.startTLS()
        let again = try client.ask(flavour == .imap4 ? "t STARTTLS" : "STLS")
        #expect(again.hasPrefix(flavour == .imap4 ? "t BAD " : "-ERR "), "TLS is up already")
        for _ in 0..<2 {
            #expect(try client.logIn(flavour, "joe", "wrong").hasSuffix("failed: Re-Authentication Failure"))
        }
        #expect(try client.logIn(flavour) == flavour.success)
        #expect(try client.ask("hello") == "you said hello")
        _ = try stand.proxy.message { $0.hasPrefix("Auth: \(path)") && $0.hasSuffix("\"ok\"") }
        let lines = stand.proxy.messages.filter { $0.hasPrefix("Auth: \(path)") }
        #expect(lines.count == 3)
        #expect(lines.allSatisfy { $0.contains(" client-secure=starttls ") }, "\(lines)")
    }

    @Test func aNameGivenBeforeTLSIsForgotten() throws {
        let stand = try TLSStand(.pop3, ["--ssl_mode", "tls_listen"])
        let client = try stand.proxy.client()
        _ = try client.ask("USER mallory")
        _ = try client.ask("STLS")
        try client.startTLS()
        #expect(try client.ask("PASS secret") == "-ERR USER not yet set, mate")
        #expect(stand.server.connections == 0)
    }

    // MARK: Towards real servers

    @Test(arguments: Flavour.allCases) func withoutSTARTTLSOnOffer(_ flavour: Flavour) throws {
        let relaxed = try TLSStand(flavour, ["--ssl_mode", "tls_outgoing"])
        #expect(try relaxed.proxy.client().logIn(flavour) == flavour.success)
        _ = try relaxed.proxy.message { $0.contains(" server-secure=plaintext status=\"ok\"") }

        let strict = try TLSStand(flavour, ["--ssl_mode", "tls_outgoing_force"])
        let answer = try strict.proxy.client().logIn(flavour)
        let reason = flavour == .imap4 ? "Connection Negotiation Failure" : "TLS not present"
        #expect(answer.hasSuffix("failed: \(reason)"))
        #expect(strict.server.logins.isEmpty, "the password stays here")
        _ = try strict.proxy.message { $0.hasSuffix(" server-secure=plaintext status=\"failed: \(reason)\"") }
    }

    @Test(arguments: Flavour.allCases, [true, false])
    func aServerThatOffersTLSAndGoesBackOnIt(_ flavour: Flavour, _ injects: Bool) throws {
        let server = try FakeServer { session in
            try session.say(flavour == .imap4 ? "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello" : "+OK hello")
            while let line = try session.lineOrEnd(within: 30) {
                let tag = line.prefix { $0 != " " }
                switch line.split(separator: " ").last?.uppercased() {
                case "CAPA": try session.say("+OK\r\nSTLS\r\nUSER\r\n.")
                case "STLS" where injects: try session.say("+OK begin\r\n+OK injected")
                case "STLS": try session.say("-ERR not now")
                case "CAPABILITY": try session.say("* CAPABILITY IMAP4rev1 STARTTLS\r\n\(tag) OK")
                case "STARTTLS" where injects: try session.say("\(tag) OK begin\r\n* CAPABILITY IMAP4rev1 X")
                case "STARTTLS": try session.say("\(tag) NO not now")
                default: try session.say("\(tag) BAD")
                }
            }
        }
        let proxy = try Perdition(
            flavour, ["--ssl_mode", "tls_outgoing", "--outgoing_server", "127.0.0.1:\(server.port)"])
        let client = try proxy.client()
        #expect(try client.logIn(flavour).hasSuffix("failed: Connection Negotiation Failure"))
        let reason = injects ? "clear text was sent ahead of the TLS handshake" : "not now"
        _ = try proxy.message { $0.hasPrefix("Real server 127.0.0.1:\(server.port)") && $0.contains(reason) }
        #expect(!server.received.contains { $0.contains("secret") })
        #expect(try !client.capabilities(flavour).contains("LOGINDISABLED"), "and the client may go on")
    }
}

/// A plain real server, and a proxy with a certificate in front.
final class TLSStand {
    let authority: Authority
    let server: FakeServer
    let proxy: Perdition

    init(_ flavour: Flavour, _ options: [String]) throws {
        authority = try Authority()
        server = try FakeServer.mail(flavour)
        proxy = try Perdition(
            flavour, authority.issue("mail.test").options + ["--outgoing_server", "127.0.0.1:\(server.port)"] + options)
    }

    /// Those words of a capability list that the state decides about.
    static func known(in text: String) -> Set<String> {
        let words = text.uppercased().split { !$0.isLetter }.map(String.init)
        return Set(words).intersection(["STARTTLS", "STLS", "LOGINDISABLED"])
    }
}

extension MailClient {
    /// STARTTLS, STLS and LOGINDISABLED, as far as they are on the list.
    func capabilities(_ flavour: Flavour) throws -> Set<String> {
        let list: [String]
        switch flavour {
        case .imap4: list = try command("c CAPABILITY").filter { $0.hasPrefix("* ") }
        case .pop3:
            try send("CAPA\r\n")
            list = try lines { $0 == "." }
        }
        return TLSStand.known(in: list.joined(separator: "\n"))
    }
}
