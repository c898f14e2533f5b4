import Foundation
import Testing

/// Every mechanism of SASL through the whole program, in front of Dovecot, which takes passwords, master users and
/// tokens that it checks by their signature.
@Suite(.staged) struct MechanismTests {
    /// Master users and signed tokens, for Dovecot.
    private static let masters = """
        auth_mechanisms = plain login xoauth2 oauthbearer
        passdb {
          driver = passwd-file
          args = scheme=PLAIN FOLDER/masters
          master = yes
        }
        passdb {
          driver = oauth2
          mechanisms = xoauth2 oauthbearer
          args = FOLDER/oauth2.conf.ext
        }
        """
    private static let key = "0123456789abcdef0123456789abcdef"

    static func store(tls identity: Authority.Identity? = nil) throws -> Dovecot {
        try Dovecot(
            users: ["alice": "a secret"], identity: identity, sieve: true,
            extra: [
                "masters": "admin:m secret\n",
                "oauth2.conf.ext": """
                introspection_mode = local
                local_validation_key_dict = fs:posix:prefix=FOLDER/keys/
                username_attribute = sub

                """,
                "keys/default/HS256/default": Data(key.utf8).base64EncodedString(),
                "dovecot.conf": masters,
            ])
    }

    private static let names = [
        "imap4": "perdition.imap4", "pop3": "perdition.pop3", "managesieve": "perdition.managesieve",
    ]

    @Test(arguments: ["imap4", "pop3", "managesieve"]) func everyMechanismReachesDovecot(protocolName: String) throws {
        let store = try Self.store()
        let port = ["imap4": store.imapPort, "pop3": store.pop3Port][protocolName] ?? store.sievePort
        let popmap = try Popmap(["alice:127.0.0.1:\(port)"])
        let proxy = try Perdition(
            name: Self.names[protocolName], popmap: popmap,
            [
                "--sasl_mechanisms", "PLAIN,LOGIN,XOAUTH2,OAUTHBEARER", "--debug", "--connection_logging",
                "--log_passwd", "fail",
            ])
        let output = try Stage.python(
            "mechanisms.py", [protocolName, "\(proxy.port)", "alice", "a secret", Self.key, "admin", "m secret"])
        #expect(output.hasSuffix("ok: all\n"), "\(output)")
        // What messages with a secret begin with, as they stand on the wire, and a secret and the head of a token.
        var secrets = [#"{"alg": "HS256""#, "user=alice\u{1}", "n,a=alice,\u{1}", "\0alice\0a se", "a secret"].map {
            String(Data($0.utf8).base64EncodedString().dropLast(4))
        }
        secrets.append("a secret")
        for line in proxy.messages {
            for secret in secrets { #expect(!line.contains(secret), "\(secret) in the log: \(line)") }
        }
        #expect(proxy.messages.contains { $0.hasPrefix("CLIENT:") && $0.contains("XOAUTH2") && $0.contains(" ***") })
        let auth = proxy.messages.filter { $0.hasPrefix("Auth: ") }
        #expect(auth.count { $0.hasSuffix("status=\"ok\"") } == 9)
        #expect(auth.count { $0.contains("status=\"failed: Re-Authentication Failure\"") } == 5)
        #expect(auth.count { $0.contains("passwd=\"***\"") } == 2, "tokens that failed")
        #expect(auth.count { $0.contains("passwd=\"wrong\"") } == 3, "passwords that failed")
    }

    /// The list of the capabilities is the original's until mechanisms are named.
    @Test func greetingsNameTheMechanisms() throws {
        let without = try Perdition(.imap4).client(greeted: false).line()
        #expect(without.hasPrefix("* OK [CAPABILITY IMAP4 IMAP4REV1] perdition ready on "))
        let with = try Perdition(.imap4, ["--sasl_mechanisms", "plain, xoauth2"]).client(greeted: false).line()
        #expect(with.hasPrefix("* OK [CAPABILITY IMAP4 IMAP4REV1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2] perdition ready on "))
    }

    @Test(arguments: [
        (["--sasl_mechanisms", "PLAIN,GSSAPI"], "unknown mechanism for sasl_mechanisms: GSSAPI"),
        (["--sasl_mechanisms", "XOAUTH2", "--authenticate_in"], "--sasl_mechanisms XOAUTH2 and --authenticate_in"),
    ])
    func whatCannotBeIsAnError(options: [String], text: String) throws {
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), ["--config_file", "/dev/null", "--map_library", ""] + options)
        #expect(status == 255)
        #expect(output.contains(text), "\(output)")
    }
}
