import Foundation
import Testing

/// Every ssl_mode with clients that people use, and a Dovecot behind.
@Suite(.staged) struct TLSModeTests {
    /// How a connection is protected, as log lines have it.
    enum Security: String, Sendable {
        case plaintext, starttls, ssl
    }

    struct Mode: Sendable, CustomTestStringConvertible {
        /// What goes behind --ssl_mode, if the option is given.
        let value: String?
        let client: Security
        let server: Security
        /// A client without TLS gets in as well.
        var isOptional = false
        var names: [(Flavour, String)] = Flavour.allCases.map { ($0, $0.programName) }

        var testDescription: String { "\(names[0].1) \(value ?? "")" }
        /// Clients have to use TLS.
        var isForced: Bool { client == .starttls && !isOptional }

        static let secureNames: [(Flavour, String)] = [
            (.imap4, "perdition.imap4s"), (.imap4, "perdition.imaps"), (.pop3, "perdition.pop3s"),
        ]

        static let all = [
            Mode(value: nil, client: .plaintext, server: .plaintext),
            Mode(value: "none", client: .plaintext, server: .plaintext),
            Mode(value: "ssl_listen", client: .ssl, server: .plaintext),
            Mode(value: "tls_listen", client: .starttls, server: .plaintext, isOptional: true),
            Mode(value: "tls_listen_force", client: .starttls, server: .plaintext),
            Mode(value: "ssl_outgoing", client: .plaintext, server: .ssl),
            Mode(value: "tls_outgoing", client: .plaintext, server: .starttls),
            Mode(value: "tls_outgoing_force", client: .plaintext, server: .starttls),
            Mode(value: "ssl_all", client: .ssl, server: .ssl),
            Mode(value: "tls_all", client: .starttls, server: .starttls, isOptional: true),
            Mode(value: "tls_all_force", client: .starttls, server: .starttls),
            Mode(value: "ssl_listen,tls_outgoing", client: .ssl, server: .starttls),
            Mode(value: "ssl_listen,tls_outgoing_force", client: .ssl, server: .starttls),
            Mode(value: "tls_listen,ssl_outgoing", client: .starttls, server: .ssl, isOptional: true),
            Mode(value: "TLS_Listen_Force,ssl_outgoing", client: .starttls, server: .ssl),
            Mode(value: nil, client: .ssl, server: .ssl, names: secureNames),
            Mode(value: "none", client: .plaintext, server: .plaintext, names: secureNames),
            Mode(value: "ssl_listen", client: .ssl, server: .plaintext, names: secureNames),
            Mode(value: "tls_all", client: .starttls, server: .starttls, isOptional: true, names: secureNames),
        ]
    }

    @Test(arguments: Mode.all) func letsPeopleIn(_ mode: Mode) throws {
        let stage = try TLSStage()
        for (flavour, name) in mode.names {
            let port = try mode.server == .ssl ? stage.store.securePort(flavour) : stage.store.port(flavour)
            let proxy = try stage.proxy(flavour, mode.value.map { ["--ssl_mode", $0] } ?? [], port: port, name: name)
            let logName = name.hasSuffix("s") ? "\(flavour.logName)S" : flavour.logName
            let auth = { (client: Security) in
                #"client-secure=\#(client.rawValue) authorisation_id=NONE authentication_id="alice" "#
                    + #"server="127.0.0.1:\#(port)" protocol=\#(logName) server-secure=\#(mode.server.rawValue) status="ok""#
            }
            let logins = { (client: Security) in proxy.messages.filter { $0.hasSuffix(auth(client)) }.count }

            if mode.client == .plaintext || mode.isOptional {
                #expect(try proxy.client().logIn(flavour, "alice", "secret") == flavour.success)
                _ = try proxy.message { $0.hasSuffix(auth(.plaintext)) }
            }
            if mode.client != .plaintext {
                let (status, output) = try SClient.run(
                    proxy.port, starttls: mode.client == .starttls ? flavour : nil, authority: stage.root,
                    lines: SClient.session(flavour, "alice", "secret"))
                #expect(status == 0, "\(output)")
                #expect(output.contains(flavour.success), "\(output)")
                #expect(output.contains(flavour == .imap4 ? "* 1 EXISTS" : "+OK 1 "), "\(output)")
                _ = try proxy.message { $0.hasSuffix(auth(mode.client)) }
            }
            let before = logins(mode.client)
            if mode.isForced, flavour == .imap4 {
                // curl does not forget a LOGINDISABLED it saw ahead of STARTTLS.
                #expect(try stage.python(proxy, mode.client).contains("ok: the message"))
            } else {
                #expect(try stage.curl(proxy, mode.client).contains("Hello alice, this is behind TLS."))
            }
            #expect(logins(mode.client) == before + 1)
            let sessions = stage.store.log.split(separator: "\n").filter { $0.contains("Login: user=<alice>") }
            let session = try #require(sessions.last)
            #expect(session.contains(", TLS") == (mode.server != .plaintext), "\(session)")
        }
    }

    @Test(arguments: Flavour.allCases, [Security.starttls, .ssl])
    func pythonChecksAndLogsIn(_ flavour: Flavour, _ security: Security) throws {
        let stage = try TLSStage()
        let (mode, port) =
            try security == .ssl
            ? ("ssl_all", stage.store.securePort(flavour)) : ("tls_all_force", stage.store.port(flavour))
        let proxy = try stage.proxy(flavour, ["--ssl_mode", mode], port: port)
        #expect(try stage.python(proxy, security).contains("ok: the message"))
        for status in ["failed: Re-Authentication Failure", "ok"] {
            _ = try proxy.message {
                $0.contains("client-secure=\(security.rawValue) ") && $0.contains("server-secure=\(security.rawValue) ")
                    && $0.hasSuffix("status=\"\(status)\"")
            }
        }
    }

    @Test(arguments: Flavour.allCases) func aBigMessageArrivesWhole(_ flavour: Flavour) throws {
        let stage = try TLSStage()
        let body = Stage.noise(megabytes: 5)
        try stage.store.deliver(body, to: "alice", name: "2.big")
        let proxy = try stage.proxy(flavour, ["--ssl_mode", "ssl_all"], port: stage.store.securePort(flavour))
        let directory = try TemporaryDirectory()
        let path = flavour == .imap4 ? "INBOX;MAILINDEX=2" : "2"
        _ = try stage.curl(proxy, .ssl, path: path, ["-o", directory.file("got")])
        let got = try #require(FileManager.default.contents(atPath: directory.file("got")))
        #expect(got.count == body.count)
        #expect(got == body, "every byte as it was")
    }

    @Test func theChainFileReachesTheClient() throws {
        let authority = try Authority()
        let middle = try authority.issue("Middle Authority", alternatives: "", isAuthority: true)
        let leaf = try authority.issue("mail.test", by: middle, alternatives: Authority.local)
        let options = ["--ssl_mode", "ssl_listen", "--ssl_cert_file", leaf.certificate, "--ssl_key_file", leaf.key]
        let without = try Perdition(.imap4, options)
        let lines = ["a LOGOUT"]
        #expect(try SClient.run(without.port, authority: authority.root.get(), lines: lines).status != 0)
        let with = try Perdition(.imap4, options + ["--ssl_ca_chain_file", middle.certificate])
        let (status, output) = try SClient.run(with.port, authority: authority.root.get(), lines: lines)
        #expect(status == 0, "\(output)")
        #expect(output.contains("a OK LOGOUT"))
    }
}

/// A Dovecot with TLS, and what is needed to put proxies with a certificate in front of it.
final class TLSStage {
    let authority: Authority
    let root: Authority.Identity
    let identity: Authority.Identity
    let store: Dovecot

    init() throws {
        authority = try Authority()
        root = try authority.root.get()
        identity = try authority.issue("mail.test")
        store = try Dovecot(users: ["alice": "secret"], label: "behind TLS", identity: identity)
    }

    /// A proxy that sends everybody to one port and trusts the authority.
    func proxy(_ flavour: Flavour, _ options: [String], port: UInt16, name: String? = nil) throws -> Perdition {
        try Perdition(
            flavour, name: name,
            identity.options + ["--outgoing_server", "127.0.0.1:\(port)", "--ssl_ca_file", root.certificate] + options)
    }

    /// Fetches alice's mail with curl.
    ///
    /// - Throws: `Failure` when curl fails.
    func curl(
        _ proxy: Perdition, _ security: TLSModeTests.Security, path: String? = nil, _ options: [String] = []
    ) throws -> String {
        let scheme = "\(proxy.flavour == .imap4 ? "imap" : "pop3")\(security == .ssl ? "s" : "")"
        let path = path ?? (proxy.flavour == .imap4 ? "INBOX;MAILINDEX=1" : "1")
        let (status, output) = try ChildProcess.run(
            Programs.debian("curl"),
            [
                "-sS", "-m", "60", "--cacert", root.certificate, "\(scheme)://127.0.0.1:\(proxy.port)/\(path)", "-u",
                "alice:secret",
            ] + (security == .starttls ? ["--ssl-reqd"] : []) + options)
        guard status == 0 else { throw Failure("curl: exit status \(status): \(output)") }
        return output
    }

    /// Looks at alice's mail with Python's own mail programs.
    ///
    /// - Throws: `Failure` when one of its checks fails.
    func python(_ proxy: Perdition, _ security: TLSModeTests.Security) throws -> String {
        try Stage.python(
            "tls_session.py",
            [
                proxy.flavour.rawValue, "\(proxy.port)", security.rawValue, root.certificate, "alice", "secret",
                "behind TLS",
            ])
    }
}
