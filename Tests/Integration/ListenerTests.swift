import Foundation
import Glibc
import Testing

/// `--listen`: one process for everything, with the programs that people use.
@Suite(.staged) struct ListenerTests {
    /// Ports of one proxy.
    struct Ports {
        let imap4, imap4s, pop3, pop3s, sieve: UInt16

        init() throws {
            (imap4, imap4s, pop3) = try (FreePort.next(), FreePort.next(), FreePort.next())
            (pop3s, sieve) = try (FreePort.next(), FreePort.next())
        }

        static let names = ["imap4", "imap4s", "pop3", "pop3s", "managesieve"]

        var all: [UInt16] { [imap4, imap4s, pop3, pop3s, sieve] }

        /// Lines of a configuration file.
        func lines(_ settings: String...) -> [String] {
            zip(zip(Self.names, all), settings).map { "listen \($0.0)://127.0.0.1:\($0.1)\($1)" }
        }
    }

    @Test func oneProcessServesEverybody() throws {
        let authority = try Authority()
        let root = try authority.root.get()
        let identity = try authority.issue("mail.test")
        let store = try Dovecot(users: ["alice": "secret"], label: "one", identity: identity, sieve: true)
        let ports = try Ports()
        let popmap = try Popmap(["alice:127.0.0.1"])
        let tls = [
            "ssl_cert_file \(identity.chain)", "ssl_key_file \(identity.key)", "ssl_ca_file \(root.certificate)",
        ]
        let configuration = try Configuration(tls + ["map_library gdbm", "map_library_opt \(popmap.path)"])
        func write() throws {
            try configuration.replace(
                with: tls + ["map_library gdbm", "map_library_opt \(popmap.path)", "map_cache_ttl 60"],
                place: ports.lines(
                    "?ssl=tls_listen&outgoing_port=\(store.imapPort)",
                    "?outgoing_port=\(store.securePort(.imap4))",
                    "?ssl=tls_listen_force,tls_outgoing_force&outgoing_port=\(store.pop3Port)",
                    "?ssl=ssl_listen,none&outgoing_port=\(store.pop3Port)",
                    "?ssl=tls_listen&outgoing_port=\(store.sievePort)"))
        }
        try write()
        let proxy = try ChildProcess(
            Programs.perdition.get(), name: "perdition",
            ["--pid_file", "", "--log_facility", "-", "--no_daemon", "--config_file", configuration.path],
            log: configuration.directory.file("log"))
        for port in ports.all { try proxy.waitUntilListening(on: port) }

        func curl(_ scheme: String, _ port: UInt16, _ path: String, _ options: [String] = []) throws {
            let (status, output) = try ChildProcess.run(
                Programs.debian("curl"),
                [
                    "-sS", "-m", "60", "--cacert", root.certificate, "\(scheme)://127.0.0.1:\(port)/\(path)", "-u",
                    "alice:secret",
                ] + options)
            #expect(status == 0, "\(scheme) \(port): \(output)")
            #expect(output.contains("Hello alice, this is one."), "\(scheme) \(port): \(output)")
        }
        func sieve() throws {
            let (status, output) = try ChildProcess.run(
                Programs.debian("sieve-connect"),
                [
                    "-s", "localhost", "--4", "-p", "\(ports.sieve)", "-u", "alice", "--passwordfd", "0", "--list",
                    "--tlscafile", root.certificate,
                ],
                input: "secret\n")
            #expect(status == 0, "\(output)")
        }
        func everybody() throws {
            try curl("imap", ports.imap4, "INBOX;MAILINDEX=1")
            try curl("imap", ports.imap4, "INBOX;MAILINDEX=1", ["--ssl-reqd"])
            try curl("imaps", ports.imap4s, "INBOX;MAILINDEX=1")
            try curl("pop3", ports.pop3, "1", ["--ssl-reqd"])
            try curl("pop3s", ports.pop3s, "1")
            try sieve()
        }
        func lines() -> [String] {
            proxy.logLines.compactMap { line in
                line.hasSuffix("status=\"ok\"")
                    ? line.firstRange(of: "client-secure=").map { String(line[$0.lowerBound...]) } : nil
            }
        }
        func line(_ client: String, _ server: String, _ name: String, _ port: UInt16) -> String {
            #"client-secure=\#(client) authorisation_id=NONE authentication_id="alice" server="127.0.0.1:\#(port)" "#
                + #"protocol=\#(name) server-secure=\#(server) status="ok""#
        }
        let wanted = try [
            line("plaintext", "plaintext", "IMAP4", store.imapPort),
            line("starttls", "plaintext", "IMAP4", store.imapPort),
            line("ssl", "ssl", "IMAP4S", store.securePort(.imap4)),
            line("starttls", "starttls", "POP3", store.pop3Port),
            line("ssl", "plaintext", "POP3S", store.pop3Port),
            line("starttls", "plaintext", "MANAGESIEVE", store.sievePort),
        ]
        try everybody()
        #expect(lines() == wanted)
        // No login without TLS where it is demanded.
        #expect(try MailClient(ports.pop3).pass("alice", "secret").hasPrefix("-ERR"))
        let family = ProcessTable.family(of: proxy.pid)
        #expect(family.count == 3, "a master, a worker, a map: \(family.map(\.executable))")

        // A worker that dies has a successor that knows the listeners as well.
        let worker = try #require(family.first { $0.parent == proxy.pid && $0.name == "perdition" })
        kill(worker.pid, SIGKILL)
        try eventually("another worker") {
            ProcessTable.family(of: proxy.pid).contains {
                $0.parent == proxy.pid && $0.name == "perdition" && $0.pid != worker.pid
            } && (try? MailClient(ports.imap4)) != nil
        }
        try everybody()
        #expect(lines() == wanted + wanted)
    }

    @Test func aReloadAddsAndRemovesListeners() throws {
        let imap = try FakeServer.mail(.imap4, users: nil)
        let pop = try FakeServer.mail(.pop3, users: nil)
        let ports = try Ports()
        let base = ["map_library \"\"", "outgoing_server 127.0.0.1"]
        let imap4 = "listen imap4://127.0.0.1:\(ports.imap4)?outgoing_port=\(imap.port)"
        let pop3 = "listen pop3://127.0.0.1:\(ports.pop3)?outgoing_port=\(pop.port)"
        let other = "listen imap4://127.0.0.1:\(ports.imap4s)?outgoing_port=\(imap.port)"
        let configuration = try Configuration(base)
        // The harness waits for this one.
        let stays = "listen imap4://127.0.0.1:\(configuration.port)?outgoing_port=\(imap.port)"
        try configuration.replace(with: base, place: [imap4, stays])
        let proxy = try Perdition(name: "perdition", configuration: configuration)
        let load = try Load(proxy.port, atOnce: 4, pause: 20)
        let session = try MailClient(ports.imap4)
        #expect(try session.login("joe", "secret") == "a OK You are so in")
        let greeted = try MailClient(ports.imap4)

        // One comes, and the places of the others change.
        try configuration.replace(with: base, place: [pop3, stays, imap4])
        #expect(try proxy.reload().contains("changed listen; worker"))
        #expect(try MailClient(ports.pop3).pass("joe", "secret") == "+OK You are so in")
        #expect(try MailClient(ports.imap4).login("joe", "secret") == "a OK You are so in")

        // One goes: who came by it stays.
        try configuration.replace(with: base, place: [stays, pop3])
        #expect(try proxy.reload().contains("changed listen; worker"))
        try eventually("it is closed") { !FreePort.isListening(ports.imap4) }
        #expect(try greeted.login("joe", "secret") == "a OK You are so in")
        #expect(try session.ask("hello") == "you said hello")
        #expect(try MailClient(ports.pop3).pass("joe", "secret") == "+OK You are so in")

        // One that cannot be had changes nothing.
        let taken = "listen imap4://127.0.0.1:\(imap.port)"
        try configuration.replace(with: base, place: [stays, pop3, other, taken])
        let refusal = try proxy.reload()
        #expect(
            refusal
                == "Reload refused, all goes on as before: --listen imap4://127.0.0.1:\(imap.port): cannot listen on "
                + "127.0.0.1:\(imap.port): Address already in use", "\(refusal)")
        #expect(!FreePort.isListening(ports.imap4s))
        // From the other form to this one and back, on the same socket.
        try configuration.replace(with: base + ["outgoing_port \(imap.port)", "protocol imap4"])
        #expect(try proxy.reload().hasPrefix("Reloaded"))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        try configuration.replace(with: base, place: [stays])
        #expect(try proxy.reload().hasPrefix("Reloaded"))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        let logins = try load.stop()
        #expect(load.failures == [], "of \(logins) logins")
        #expect(logins > 20)
    }

    @Test func thoseTooManyHearItInTheirProtocol() throws {
        let ports = try Ports()
        let configuration = try Configuration([])
        try configuration.replace(
            with: ["map_library \"\"", "connection_limit 1"],
            place: [
                "listen imap4://127.0.0.1:\(configuration.port)", "listen pop3://127.0.0.1:\(ports.pop3)",
                "listen managesieve://127.0.0.1:\(ports.sieve)",
            ])
        let proxy = try Perdition(name: "perdition", configuration: configuration)
        let first = try proxy.client()
        #expect(first.greeting.hasPrefix("* OK "))
        #expect(try MailClient(proxy.port).greeting == "* BYE Too many connections, mate")
        #expect(try MailClient(ports.pop3).greeting == "-ERR [SYS/TEMP] Too many connections, mate")
        #expect(try MailClient(ports.sieve).greeting == "BYE \"Too many connections, mate\"")
    }

    @Test(arguments: [
        (
            ["--listen", "smtp://*"],
            "--listen smtp://*: there is no protocol \"smtp\": write one of pop3, imap4, pop3s, imap4s, managesieve\n"
        ),
        (
            ["--listen", "imap4://*", "--inetd_mode"],
            "--listen and --inetd_mode do not go together: inetd listens by itself, so leave --listen out and say --protocol\n"
        ),
    ])
    func whatCannotBeKeepsItFromStarting(arguments: [String], why: String) throws {
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition", ["--config_file", "", "--no_daemon"] + arguments)
        #expect(status == 255)
        #expect(output == why)
    }
}
