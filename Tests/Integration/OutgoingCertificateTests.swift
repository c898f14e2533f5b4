import Foundation
import Testing

/// Certificates of real servers: what is wrong with them keeps users out, unless an option says otherwise.
@Suite(.staged) struct OutgoingCertificateTests {
    typealias Identity = Authority.Identity

    /// One certificate with a fault.
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        /// Stands in the log: whose certificate, what is wrong, which option accepts it.
        let logged: [String]
        /// Each of these lets users in; `ROOT`, `PATH` and `NOTHING` are replaced by files.
        let accepting: [[String]]
        /// Each of these does not.
        var refusing: [[String]] = []
        /// Whether the authority is given with --ssl_ca_file from the start.
        var trusts = true
        /// Given in any case.
        var options: [String] = []
        var host = "127.0.0.1"
        let make: @Sendable (Authority) throws -> Identity

        var testDescription: String { name }
    }

    static let all: [Case] = [
        Case(
            name: "expired", logged: ["/CN=old.test", "certificate has expired", "--ssl_cert_accept_expired"],
            accepting: [["--ssl_cert_accept_expired"], ["--ssl_no_cert_verify"]],
            refusing: [["--ssl_cert_accept_not_yet_valid", "--ssl_cert_accept_self_signed", "--ssl_no_cn_verify"]]
        ) { try $0.issue("old.test", validity: .expired) },
        Case(
            name: "not yet valid",
            logged: ["/CN=new.test", "certificate is not yet valid", "--ssl_cert_accept_not_yet_valid"],
            accepting: [["--ssl_cert_accept_not_yet_valid"], ["--ssl_no_cert_verify"]],
            refusing: [["--ssl_cert_accept_expired"]]
        ) { try $0.issue("new.test", validity: .future) },
        Case(
            name: "expired authority",
            logged: ["/CN=Old Authority", "certificate has expired", "--ssl_cert_accept_expired"],
            accepting: [["--ssl_cert_accept_expired"]]
        ) { authority in
            let middle = try authority.issue(
                "Old Authority", alternatives: "", validity: .expired, isAuthority: true)
            return try authority.issue("mail.test", by: middle, alternatives: Authority.local)
        },
        Case(
            name: "self-signed", logged: ["/CN=self.test", "self-signed certificate", "--ssl_cert_accept_self_signed"],
            accepting: [["--ssl_cert_accept_self_signed"], ["--ssl_no_cert_verify"]],
            refusing: [["--ssl_ca_accept_self_signed"]]
        ) { try $0.issue("self.test", by: nil, alternatives: Authority.local) },
        Case(
            name: "self-signed and expired",
            logged: ["/CN=self.test", "self-signed certificate", "--ssl_cert_accept_self_signed"],
            accepting: [["--ssl_cert_accept_self_signed", "--ssl_cert_accept_expired"]],
            refusing: [["--ssl_cert_accept_self_signed"], ["--ssl_cert_accept_expired"]]
        ) { try $0.issue("self.test", by: nil, alternatives: Authority.local, validity: .expired) },
        Case(
            name: "unknown authority",
            logged: ["/CN=mail.test", "unable to get local issuer certificate", "--ssl_no_cert_verify"],
            accepting: [["--ssl_ca_file", "ROOT"], ["--ssl_ca_path", "PATH"], ["--ssl_no_cert_verify"]],
            refusing: [
                ["--ssl_cert_accept_self_signed", "--ssl_ca_accept_self_signed"], ["--ssl_ca_path", "NOTHING"],
            ],
            trusts: false
        ) { authority in
            let leaf = try authority.issue("mail.test")
            return Identity(certificate: leaf.certificate, key: leaf.key, chain: leaf.certificate)
        },
        Case(
            name: "unknown authority that is shown",
            logged: ["/CN=Test Authority", "self-signed certificate in", "--ssl_ca_accept_self_signed"],
            accepting: [["--ssl_ca_accept_self_signed"], ["--ssl_ca_file", "ROOT"], ["--ssl_ca_path", "PATH"]],
            refusing: [["--ssl_cert_accept_self_signed"]], trusts: false
        ) { try $0.issue("mail.test") },
        Case(
            name: "another name", logged: ["/CN=other.test", "is not for 127.0.0.1", "--ssl_no_cn_verify"],
            accepting: [["--ssl_no_cn_verify"]], refusing: [["--ssl_no_cert_verify"]]
        ) { try $0.issue("other.test", alternatives: "DNS:other.test,IP:127.0.0.2") },
        Case(
            name: "an address where a name is wanted",
            logged: ["/CN=other.test", "is not for localhost", "--ssl_no_cn_verify"],
            accepting: [["--ssl_no_cn_verify"]], host: "localhost"
        ) { try $0.issue("other.test", alternatives: "DNS:*.localhost,IP:127.0.0.1") },
        Case(
            name: "too long a chain",
            logged: ["/CN=Test Authority", "place 2", "--ssl_cert_verify_depth 1"],
            accepting: [["--ssl_cert_verify_depth", "2"]], refusing: [["--ssl_cert_verify_depth", "0"]],
            options: ["--ssl_cert_verify_depth", "1"]
        ) { authority in
            let middle = try authority.issue("Middle", alternatives: "", isAuthority: true)
            return try authority.issue("mail.test", by: middle, alternatives: Authority.local)
        },
    ]

    @Test(arguments: all) func keepsUsersOut(_ kase: Case) throws {
        let stage = try CertificateStage(kase)
        for mode in ["ssl_outgoing", "tls_outgoing"] {
            let (answer, messages) = try stage.logIn([], mode: mode)
            #expect(answer.hasPrefix("a NO ") && answer.hasSuffix("failed: Connection Negotiation Failure"), "\(mode)")
            let reason = messages.first { $0.hasPrefix("Real server \(kase.host):") } ?? ""
            for part in kase.logged { #expect(reason.contains(part), "\(mode): \(messages)") }
            #expect(messages.contains { $0.hasSuffix("status=\"failed: Connection Negotiation Failure\"") })
        }
        #expect(!stage.store.log.contains("user=<alice>"), "the password stays here")
    }

    @Test(arguments: all) func isAcceptedWhereTheOptionSaysSo(_ kase: Case) throws {
        let stage = try CertificateStage(kase)
        for options in kase.accepting {
            let (answer, messages) = try stage.logIn(options, mode: "ssl_outgoing")
            #expect(answer == "a OK You are so in", "\(options): \(messages)")
        }
        for options in kase.refusing {
            let (answer, _) = try stage.logIn(options, mode: "ssl_outgoing")
            #expect(answer.hasSuffix("failed: Connection Negotiation Failure"), "\(options)")
        }
    }

    @Test(arguments: [
        ("127.0.0.1", "other.test", "IP:127.0.0.1"), ("localhost", "other.test", "DNS:a.test,DNS:LocalHost"),
        ("localhost", "localhost", ""), ("127.0.0.1", "127.0.0.1", "DNS:a.test"),
    ])
    func theRightNameLetsIn(_ host: String, _ name: String, _ alternatives: String) throws {
        let kase = Case(name: "", logged: [], accepting: [], host: host) {
            try $0.issue(name, alternatives: alternatives)
        }
        let (answer, messages) = try CertificateStage(kase).logIn([], mode: "ssl_outgoing")
        #expect(answer == "a OK You are so in", "\(messages)")
    }

    @Test func withoutAnyAuthorityNobodyIsBelieved() throws {
        let kase = Case(name: "", logged: [], accepting: [], trusts: false) { try $0.issue("mail.test") }
        let (answer, messages) = try CertificateStage(kase).logIn([], mode: "ssl_outgoing", defaults: true)
        #expect(answer.hasSuffix("failed: Connection Negotiation Failure"))
        #expect(messages.contains { $0.contains("--ssl_ca_path") }, "\(messages)")
    }

    @Test func popHearsItToo() throws {
        let stage = try CertificateStage(Self.all[0], .pop3)
        let (answer, _) = try stage.logIn([], mode: "ssl_outgoing")
        #expect(answer.hasPrefix("-ERR ") && answer.hasSuffix("failed: Connection Negotiation Failure"))
        #expect(try stage.logIn(["--ssl_cert_accept_expired"], mode: "tls_outgoing").answer == "+OK You are so in")
    }

    @Test func aRefusedCertificateIsRefusedAgain() throws {
        let stage = try CertificateStage(Self.all[0])
        let proxy = try stage.proxy(["--threads", "1"], mode: "ssl_outgoing")
        let client = try proxy.client()
        for _ in 0..<2 {
            let answer = try client.login("alice", "secret")
            #expect(answer.hasSuffix("failed: Connection Negotiation Failure"), "no session is kept from it")
        }
    }
}

/// A Dovecot that shows one certificate.
final class CertificateStage {
    let authority: Authority
    let store: Dovecot
    private let kase: OutgoingCertificateTests.Case
    private let flavour: Flavour

    init(_ kase: OutgoingCertificateTests.Case, _ flavour: Flavour = .imap4) throws {
        self.kase = kase
        self.flavour = flavour
        authority = try Authority()
        store = try Dovecot(users: ["alice": "secret"], identity: kase.make(authority))
    }

    func proxy(_ options: [String], mode: String, defaults: Bool = false) throws -> Perdition {
        let root = try authority.root.get()
        let port = try mode == "ssl_outgoing" ? store.securePort(flavour) : store.port(flavour)
        let files = try ["ROOT": root.certificate, "PATH": authority.hashed(root), "NOTHING": authority.hashed()]
        let trust = kase.trusts ? ["--ssl_ca_file", root.certificate] : []
        return try Perdition(
            flavour,
            ["--ssl_mode", mode, "--outgoing_server", "\(kase.host):\(port)"] + trust
                + (defaults ? [] : ["--ssl_ca_path", ""]) + kase.options + options.map { files[$0] ?? $0 })
    }

    /// One login through a proxy of its own.
    func logIn(
        _ options: [String], mode: String, defaults: Bool = false
    ) throws -> (answer: String, messages: [String]) {
        let proxy = try proxy(options, mode: mode, defaults: defaults)
        let answer = try proxy.client().logIn(flavour, "alice", "secret")
        _ = try proxy.message { $0.hasPrefix("Auth: ") }
        return (answer, proxy.messages)
    }
}
