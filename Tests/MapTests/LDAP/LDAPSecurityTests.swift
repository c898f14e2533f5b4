import CLinux
import Foundation
import Lookup
import Testing

/// TLS to the directory, and what must not be seen of the password.
struct LDAPSecurityTests {
    private let slapd: Slapd
    private let scratch: Scratch

    init() async throws {
        slapd = try await Slapd()
        scratch = slapd.scratch
    }

    /// Status of one lookup of joe, and why it failed.
    private func query(
        _ url: String, _ extensions: String..., environment: [String: String] = [:]
    ) throws -> (status: Int32, errors: String) {
        let tail = extensions.isEmpty ? "" : "?" + extensions.joined(separator: ",")
        let outcome = try scratch.query("joe", "\(url)/\(Slapd.query)\(tail)", environment: environment)
        #expect(outcome.output == (outcome.status == 0 ? "imap1.example.com\n" : ""))
        return (outcome.status, outcome.errors)
    }

    private var authority: String { "x-tlscacert=" + slapd.file("ca.pem") }
    private var stranger: String { "x-tlscacert=" + slapd.file("other-ca.pem") }

    @Test(arguments: ["ldaps", "ldap"])
    func certificatesAreChecked(scheme: String) throws {
        let start = scheme == "ldap" ? "x-starttls" : "foo"
        let server = "\(scheme)://127.0.0.1:\(scheme == "ldap" ? slapd.port : slapd.tlsPort)"
        #expect(try query(server, authority, start).status == 0)
        let other = try query(server, stranger, start)
        #expect(other.status == 75 && other.errors.contains("TLS"))
        // Those of the machine do not know it either.
        #expect(try query(server, start).status == 75)
        let missing = try query(server, "x-tlscacert=/nowhere", start)
        #expect(missing.status == 75 && missing.errors.contains("TLS"))
        // ldap.conf(5) and its environment count.
        let conf = ["LDAPTLS_CACERT": slapd.file("ca.pem")]
        #expect(try query(server, start, environment: conf).status == 0)
        #expect(try query(server, stranger, start, environment: conf).status == 75)
        #expect(try query(server, start, environment: ["LDAPTLS_REQCERT": "never"]).status == 0)
        #expect(try slapd.log.contains("TLS established"))
    }

    @Test func theNameIsChecked() throws {
        #expect(try query("ldaps://127.0.0.2:\(slapd.tlsPort)", authority).status == 75)
        #expect(try query("ldaps://127.0.0.2 127.0.0.1:\(slapd.tlsPort)", authority).status == 0)
    }

    @Test func startTLSByEachOfItsNames() throws {
        for name in ["x-starttls", "!StartTLS", "1.3.6.1.4.1.1466.20037"] {
            #expect(try query("ldap://127.0.0.1:\(slapd.port)", name, authority).status == 0)
        }
        #expect(try slapd.log.components(separatedBy: "STARTTLS").count - 1 == 3)
    }

    @Test func withoutTLSNothingIsSaid() async throws {
        let secret = "bindname=cn=admin%2cdc=nodomain,x-bindpw=hush-hush"
        for manner in [FakeLDAP.Manner.refusesTLS, .hangsUp] {
            let fake = try FakeLDAP(manner)
            defer { fake.stop() }
            #expect(try query("ldap://127.0.0.1:\(fake.port)", "x-starttls", authority, secret).status == 75)
            #expect(try query("ldaps://127.0.0.1:\(fake.port)", authority, secret).status == 75)
            #expect(fake.calls >= 2)
            let received = Data(fake.received)
            #expect(received.range(of: Data("admin".utf8)) == nil && received.range(of: Data("hush".utf8)) == nil)
        }
        // The other way round: what is seen there without TLS.
        let fake = try FakeLDAP(.hangsUp)
        defer { fake.stop() }
        #expect(try query("ldap://127.0.0.1:\(fake.port)", secret).status == 75)
        #expect(Data(fake.received).range(of: Data("hush".utf8)) != nil)
        let plain = try await Slapd(tls: false)
        let outcome = try plain.scratch.query("joe", plain.url("x-starttls,\(secret)"))
        #expect(outcome.status == 75 && outcome.errors.contains("StartTLS"))
        #expect(try !plain.log.contains("BIND dn="))
    }

    @Test func weShowACertificateOfOurOwn() async throws {
        let strict = try await Slapd(config: ["TLSVerifyClient demand"])
        let server = "ldaps://127.0.0.1:\(strict.tlsPort)/\(Slapd.query)?x-tlscacert=\(strict.file("ca.pem"))"
        // That of the server will do; who has signed it is what counts.
        let own = "x-tlscert=\(strict.file("server.pem")),x-tlskey=\(strict.file("server.key"))"
        #expect(try strict.scratch.query("joe", "\(server),\(own)").output == "imap1.example.com\n")
        #expect(try strict.scratch.query("joe", server).status == 75)
        let other = "x-tlscert=\(strict.file("other-ca.pem")),x-tlskey=\(strict.file("other-ca.key"))"
        #expect(try strict.scratch.query("joe", "\(server),\(other)").status == 75)
    }

    @Test func renewedAuthoritiesAreReadAgain() async throws {
        let path = scratch.file("renewed.pem")
        try FileManager.default.copyItem(atPath: slapd.file("other-ca.pem"), toPath: path)
        let options = "ldaps://127.0.0.1:\(slapd.tlsPort)/\(Slapd.query)?x-tlscacert=\(path)"
        let provider = try await scratch.startLDAP(options)
        defer { provider.stop() }
        #expect(try scratch.lookUp("joe").isTemporary(saying: "TLS"))
        try Data(contentsOf: URL(fileURLWithPath: slapd.file("ca.pem"))).write(to: URL(fileURLWithPath: path))
        #expect(try scratch.lookUp("joe") == .found("imap1.example.com"))
    }

    @Test func thePasswordIsSeenNowhere() async throws {
        let options = slapd.url("bindname=cn=admin%2cdc=nodomain,x-bindpw=hu%73h-hush")
        let provider = try await scratch.startLDAP(options)
        defer { provider.stop() }
        var seen: [String] = []
        func look() throws {
            for file in ["cmdline", "environ"] {
                let data = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(provider.pid)/\(file)"))
                #expect(!data.isEmpty)
                seen.append(String(decoding: data, as: UTF8.self))
            }
        }
        // Wrong, then no server at all, then the right one.
        let refused = try scratch.lookUp("joe")
        #expect(refused.isTemporary(saying: "Invalid credentials"))
        try look()
        slapd.stop()
        let down = try scratch.lookUp("joe")
        #expect(down.isTemporary(saying: "Connection refused"))
        provider.signal(SIGHUP)
        try await slapd.start()
        seen += ["\(refused)", "\(down)", "\(try scratch.lookUp("joe"))", try scratch.log]
        try look()
        provider.signal(SIGTERM)
        #expect(provider.wait() == 0)
        seen.append(try scratch.log)
        #expect(seen.last?.contains("lookups fail") == true)
        for bad in ["!x-bindpwhush=x", "x-bindpw=hush%", "x-bindpw=hush,!what", "x-bindpw=hush?x"] {
            let outcome = try scratch.query("joe", slapd.url(bad))
            #expect(outcome.status == 78 && !outcome.errors.isEmpty)
            seen.append(outcome.errors)
        }
        for text in seen { #expect(!text.contains("hu%73h") && !text.contains("hush"), "\(text)") }
        // The server was told, so there was something to see.
        #expect(try slapd.log.contains("BIND dn=\"cn=admin,dc=nodomain\""))
    }
}
