import Foundation
import Glibc
import Testing

/// Keys, certificates and settings at the start: what does not do is said in one line, and nothing starts.
@Suite(.staged) struct TLSStartTests {
    /// Something that keeps the program from starting.
    struct Fault: Sendable, CustomTestStringConvertible {
        let name: String
        /// All of these stand in the one line.
        let said: [String]
        var mode = "ssl_listen"
        /// The options, made from a certificate that is all right.
        let options: @Sendable (Authority, Authority.Identity) throws -> [String]

        var testDescription: String { name }
    }

    static let faults: [Fault] = [
        Fault(
            name: "a key that does not fit",
            said: ["--ssl_key_file ", "/other.key", "does not fit", "--ssl_cert_file "]
        ) {
            let other = try $0.issue("other.test")
            let key = $0.directory.file("other.key")
            rename(other.key, key)
            return ["--ssl_cert_file", $1.chain, "--ssl_key_file", key]
        },
        Fault(name: "no certificate", said: ["--ssl_cert_file /nowhere/a.pem: No such file or directory"]) {
            ["--ssl_cert_file", "/nowhere/a.pem", "--ssl_key_file", $1.key]
        },
        Fault(name: "no key", said: ["--ssl_key_file /nowhere/a.pem: No such file or directory"]) {
            ["--ssl_cert_file", $1.chain, "--ssl_key_file", "/nowhere/a.pem"]
        },
        Fault(name: "a folder for a key", said: ["--ssl_key_file ", ": Is a directory"]) {
            ["--ssl_cert_file", $1.chain, "--ssl_key_file", $0.directory.path]
        },
        Fault(name: "a key for a certificate", said: ["--ssl_cert_file ", ".key: no certificate in PEM form in it"]) {
            ["--ssl_cert_file", $1.key, "--ssl_key_file", $1.key]
        },
        Fault(name: "a certificate for a key", said: ["--ssl_key_file ", ".crt: no private key in PEM form in it"]) {
            ["--ssl_cert_file", $1.chain, "--ssl_key_file", $1.certificate]
        },
        Fault(name: "no authorities", said: ["--ssl_ca_file /nowhere/ca.pem: No such file"], mode: "ssl_outgoing") {
            _, _ in ["--ssl_ca_file", "/nowhere/ca.pem"]
        },
        Fault(name: "no chain", said: ["--ssl_ca_chain_file /nowhere/ca.pem: No such file"]) {
            $1.options + ["--ssl_ca_chain_file", "/nowhere/ca.pem"]
        },
        Fault(name: "no DH parameters", said: ["--ssl_dh_params_file ", ".crt: no DH parameters in PEM form in it"]) {
            $1.options + ["--ssl_dh_params_file", $1.certificate]
        },
        Fault(name: "an unknown cipher", said: ["--ssl_listen_ciphers NONSUCH: no cipher is left"]) {
            $1.options + ["--ssl_listen_ciphers", "NONSUCH"]
        },
        Fault(name: "an unknown suite", said: ["--ssl_outgoing_ciphers TLS_NONSUCH: "], mode: "ssl_outgoing") {
            _, _ in ["--ssl_outgoing_ciphers", "TLS_NONSUCH"]
        },
        Fault(name: "an unknown version", said: ["ssl_listen_min_proto_version"]) {
            $1.options + ["--ssl_listen_min_proto_version", "tlsv1.9"]
        },
        Fault(name: "no version", said: ["ssl_outgoing_min_proto_version"]) {
            $1.options + ["--ssl_outgoing_min_proto_version", ""]
        },
        Fault(name: "versions the wrong way round", said: ["ssl_listen_max_proto_version", "tlsv1.2", "tlsv1.3"]) {
            $1.options + ["--ssl_listen_min_proto_version", "tlsv1.3", "--ssl_listen_max_proto_version", "tlsv1.2"]
        },
        Fault(name: "a contradiction", said: ["invalid ssl_mode combination"], mode: "ssl_listen,tls_listen") {
            $1.options
        },
        Fault(name: "an unknown mode", said: ["unknown ssl_mode: ssl_everything"], mode: "ssl_everything") {
            $1.options
        },
        Fault(
            name: "a wrong passphrase in a file",
            said: ["--ssl_key_file ", "the passphrase from --ssl_passphrase_file ", "does not open the key"]
        ) {
            let file = try $0.directory.write("sesame\n", to: "phrase")
            return try ["--ssl_cert_file", $1.chain, "--ssl_key_file", $0.encrypt($1.key, "open sesame")]
                + ["--ssl_passphrase_file", file]
        },
        Fault(
            name: "no passphrase file",
            said: ["--ssl_key_file ", "--ssl_passphrase_file /nowhere/phrase: No such file"]
        ) {
            try ["--ssl_cert_file", $1.chain, "--ssl_key_file", $0.encrypt($1.key, "open sesame")]
                + ["--ssl_passphrase_file", "/nowhere/phrase"]
        },
        Fault(
            name: "no passphrase on the descriptor",
            said: ["--ssl_key_file ", "the passphrase from --ssl_passphrase_fd 0 does not open the key"]
        ) {
            try ["--ssl_cert_file", $1.chain, "--ssl_key_file", $0.encrypt($1.key, "open sesame")]
        },
        Fault(
            name: "a descriptor that is not open",
            said: ["--ssl_key_file ", "--ssl_passphrase_fd 77: Bad file descriptor"]
        ) {
            try ["--ssl_cert_file", $1.chain, "--ssl_key_file", $0.encrypt($1.key, "open sesame")]
                + ["--ssl_passphrase_fd", "77"]
        },
        Fault(name: "two passphrases", said: ["Only one of ssl_passphrase_fd and ssl_passphrase_file"]) {
            $1.options + ["--ssl_passphrase_fd", "7", "--ssl_passphrase_file", "/nowhere/phrase"]
        },
    ]

    /// In the foreground, in the background, and by inetd.
    @Test(arguments: faults, [["--no_daemon"], [], ["--inetd_mode"]]) func saysOneLineAndEnds(
        _ fault: Fault, _ how: [String]
    ) throws {
        let authority = try Authority()
        let options = try fault.options(authority, authority.issue("mail.test"))
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            TLSStartTests.basics(try FreePort.next()) + how + ["--ssl_mode", fault.mode] + options)
        #expect(status == 255)
        let lines = output.split(separator: "\n")
        #expect(lines.count == 1, "\(output)")
        for part in fault.said { #expect(output.contains(part), "\(output)") }
        #expect(!output.contains("sesame"))
    }

    /// How the passphrase comes.
    enum Source: String, CaseIterable, Sendable {
        case standardInput, descriptor, file
    }

    @Test(arguments: Source.allCases) func thePassphraseOutlivesTheWorker(_ source: Source) throws {
        let authority = try Authority()
        let identity = try authority.issue("mail.test")
        let server = try FakeServer.mail(.imap4)
        let phrase = try authority.directory.write("open sesame\nsecond line\n", to: "phrase")
        let key = try authority.encrypt(identity.key, "open sesame")
        var options = [
            "--ssl_cert_file", identity.chain, "--ssl_key_file", key, "--ssl_mode", "ssl_listen", "--outgoing_server",
            "127.0.0.1:\(server.port)",
        ]
        let proxy: Perdition
        switch source {
        case .standardInput: proxy = try Perdition(.imap4, options, input: phrase)
        case .file: proxy = try Perdition(.imap4, options + ["--ssl_passphrase_file", phrase])
        case .descriptor:
            options += ["--ssl_passphrase_fd", "7"]
            let script = "#!/bin/bash\nexec -a perdition.imap4 '\(try Programs.perdition.get())' \"$@\" 7<'\(phrase)'\n"
            let wrapper = try authority.directory.write(script, to: "wrapper")
            chmod(wrapper, 0o755)
            proxy = try Perdition(.imap4, options, program: wrapper)
        }
        #expect(try proxy.client(secure: true).login("joe", "secret") == "a OK You are so in")
        for _ in 0..<2 {
            let worker = try #require(
                proxy.family.first { $0.parent == proxy.process.pid && $0.name.hasPrefix("perdition") })
            kill(worker.pid, SIGKILL)
            try eventually("the worker is gone") { !worker.isAlive }
            #expect(try proxy.client(secure: true).login("joe", "secret") == "a OK You are so in")
        }
        #expect(!proxy.process.log.contains("sesame"))
    }

    @Test(arguments: ["open sesame", "close sesame"]) func aTerminalDoesNotShowIt(_ phrase: String) throws {
        let authority = try Authority()
        let identity = try authority.issue("mail.test")
        let key = try authority.encrypt(identity.key, "open sesame")
        let output = try Stage.python(
            "terminal.py",
            [phrase, "perdition.imap4", Programs.perdition.get()] + TLSStartTests.basics(try FreePort.next()) + [
                "--no_daemon", "--log_facility", "-", "--ssl_mode", "ssl_listen", "--ssl_cert_file", identity.chain,
                "--ssl_key_file", key,
            ])
        #expect(output.hasPrefix("Passphrase of the key: "))
        #expect(!output.contains("sesame"), "\(output)")
        #expect(output.contains("does not open the key") == (phrase != "open sesame"), "\(output)")
    }

    @Test func aWorkerThatCannotStartAgainSaysWhy() throws {
        let authority = try Authority()
        let identity = try authority.issue("mail.test")
        let proxy = try Perdition(.imap4, identity.options + ["--ssl_mode", "ssl_listen"])
        // Its sockets listen ahead of its worker.
        #expect(try proxy.client(secure: true).greeting.hasPrefix("* OK "))
        let good = try Data(contentsOf: URL(fileURLWithPath: identity.chain))
        try Data("damaged".utf8).write(to: URL(fileURLWithPath: identity.chain))
        let worker = try #require(proxy.family.first { $0.parent == proxy.process.pid })
        kill(worker.pid, SIGKILL)
        let line = try proxy.message { $0.contains("no certificate in PEM form in it") }
        #expect(line.hasPrefix("--ssl_cert_file \(identity.chain): "))
        try good.write(to: URL(fileURLWithPath: identity.chain))
        #expect(try proxy.client(secure: true).greeting.hasPrefix("* OK "), "the sockets have waited")
    }

    @Test func whatIsUnknownAmongKnownCiphersIsTold() throws {
        let authority = try Authority()
        let proxy = try Perdition(
            .imap4,
            authority.issue("mail.test").options + [
                "--ssl_mode", "ssl_listen", "--ssl_listen_ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256:NONSUCH",
            ])
        _ = try proxy.message { $0.contains("--ssl_listen_ciphers") && $0.contains("NONSUCH") }
        let (_, output) = try SClient.run(
            proxy.port, authority: authority.root.get(), ["-tls1_2", "-ign_eof"], lines: ["a LOGOUT"])
        #expect(output.contains("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"), "\(output)")
    }

    @Test(arguments: [
        ([], "-tls1_1", false), ([], "-tls1_2", true), ([], "-tls1_3", true),
        (["--ssl_listen_min_proto_version", "tlsv1.3"], "-tls1_2", false),
        (["--ssl_listen_max_proto_version", "tlsv1.2"], "-tls1_3", false),
    ])
    func theVersionsAreKept(_ options: [String], _ version: String, _ isAllowed: Bool) throws {
        let authority = try Authority()
        let proxy = try Perdition(
            .imap4, authority.issue("mail.test").options + ["--ssl_mode", "ssl_listen"] + options)
        let (status, output) = try SClient.run(
            proxy.port, authority: authority.root.get(), [version, "-quiet"], lines: ["a LOGOUT"])
        #expect((status == 0) == isAllowed, "\(output)")
        #expect(output.contains("a OK LOGOUT") == isAllowed, "\(output)")
    }

    static func basics(_ port: UInt16) -> [String] {
        [
            "--bind_address", "127.0.0.1", "--listen_port", String(port), "--pid_file", "", "--config_file",
            "/dev/null", "--map_library", "",
        ]
    }
}
