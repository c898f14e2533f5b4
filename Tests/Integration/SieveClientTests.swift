import Foundation
import Testing

/// Programs that people keep their Sieve scripts with, Dovecot's Pigeonhole, and the proxy between them.
@Suite(.staged) struct SieveClientTests {
    /// Two stores that keep scripts, a popmap that names them, and a proxy in front.
    struct SieveStage {
        let stores: [Dovecot]
        let popmap: Popmap
        let proxy: Perdition
        let folder: TemporaryDirectory

        /// - Parameter tls: Clients have to use STARTTLS; the certificate is in `authority`.
        init(tls: Bool = false) throws {
            stores = try [
                Dovecot(users: ["alice": "a secret"], sieve: true), Dovecot(users: ["bob": "b secret"], sieve: true),
            ]
            popmap = try Popmap([
                "alice:127.0.0.1:\(stores[0].sievePort)", "bob:127.0.0.1:\(stores[1].sievePort)",
            ])
            folder = try TemporaryDirectory()
            var options: [String] = []
            if tls {
                let (status, output) = try ChildProcess.run(
                    Programs.debian("openssl"),
                    [
                        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder.file("key"), "-out",
                        folder.file("certificate"),
                    ])
                guard status == 0 else { throw Failure("openssl: \(output)") }
                options = [
                    "--ssl_mode", "tls_listen_force", "--ssl_cert_file", folder.file("certificate"), "--ssl_key_file",
                    folder.file("key"),
                ]
            }
            proxy = try ManageSieveTests.proxy(popmap: popmap, options)
        }

        var authority: String { folder.file("certificate") }

        /// Runs sieve-connect, which reads the password from its standard input.
        func sieveConnect(_ user: String, _ password: String, _ arguments: [String]) throws -> (Int32, String) {
            try ChildProcess.run(
                Programs.debian("sieve-connect"),
                ["-s", "localhost", "--4", "-p", "\(proxy.port)", "-u", user, "--passwordfd", "0"] + arguments,
                input: password + "\n")
        }
    }

    @Test(arguments: [false, true]) func sieveConnectKeepsAScript(tls: Bool) throws {
        let stage = try SieveStage(tls: tls)
        let how = tls ? ["--tlscafile", stage.authority] : ["--clearchan"]
        let script = "require [\"fileinto\"];\r\nif header :contains \"subject\" \"x\" { fileinto \"X\"; }\r\n"
        let file = try stage.folder.write(script, to: "one.sieve")
        let got = stage.folder.file("got.sieve")
        let steps = [
            (["--localsieve", file, "--remotesieve", "one", "--upload"], ""), (["--list"], "\"one\""),
            (["--remotesieve", "one", "--activate"], ""), (["--list"], "\"one\" ACTIVE"),
            (["--localsieve", got, "--remotesieve", "one", "--download"], ""),
        ]
        for (arguments, expected) in steps {
            let (status, output) = try stage.sieveConnect("alice", "a secret", how + arguments)
            #expect(status == 0, "\(arguments): \(output)")
            #expect(expected.isEmpty ? output.isEmpty : output.contains(expected), "\(arguments): \(output)")
        }
        #expect(try String(contentsOfFile: got, encoding: .utf8) == script)
        let (_, other) = try stage.sieveConnect("bob", "b secret", how + ["--list"])
        #expect(!other.contains("one"), "bob's scripts are elsewhere: \(other)")
        let security = tls ? "starttls" : "plaintext"
        let lines = stage.proxy.messages.filter { $0.hasPrefix("Auth: ") }
        #expect(lines.count == 6)
        #expect(lines.allSatisfy { $0.contains("client-secure=\(security) ") && $0.contains("status=\"ok\"") })
    }

    @Test func sieveConnectHearsOfAWrongPassword() throws {
        let stage = try SieveStage()
        let (status, output) = try stage.sieveConnect("alice", "wrong", ["--clearchan", "--list"])
        #expect(status != 0)
        #expect(output.contains("failed: Re-Authentication Failure"), "\(output)")
    }

    @Test func sievelibWorksThrough() throws {
        let stage = try SieveStage()
        let output = try Stage.python("sieve_session.py", ["\(stage.proxy.port)", "bob", "b secret"])
        #expect(output.contains("ok: a wrong password"))
    }

    @Test func sievelibWorksThroughTLS() throws {
        let stage = try SieveStage(tls: true)
        let output = try Stage.python(
            "sieve_session.py", ["\(stage.proxy.port)", "alice", "a secret", "starttls"])
        #expect(output.contains("ok: a wrong password"))
        let lines = stage.proxy.messages.filter { $0.hasPrefix("Auth: ") }
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.contains("client-secure=starttls ") })
    }
}
