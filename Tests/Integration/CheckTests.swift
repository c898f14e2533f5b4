import Foundation
import Glibc
import Testing

/// `--check` and `--explain` of the whole program.
@Suite(.staged) struct CheckTests {
    static func run(_ arguments: [String], name: String = "perdition.imap4") throws -> (status: Int32, output: String) {
        try ChildProcess.run(Programs.perdition.get(), name: name, arguments)
    }

    @Test func allIsWellBesideOneThatRuns() throws {
        let authority = try Authority()
        let identity = try authority.issue(
            "mail.test", by: nil, alternatives: Authority.local, validity: .lasting)
        let popmap = try Popmap(["joe:127.0.0.1"])
        let folder = try TemporaryDirectory()
        chmod(folder.path, 0o777)
        let configuration = try Configuration([
            "map_library gdbm", "map_library_opt \(popmap.path)", "ssl_mode tls_listen",
            "pid_file \(folder.file("pid"))",
            "ssl_cert_file \(identity.chain)", "ssl_key_file \(identity.key)", "log_facility -",
        ])
        let arguments = ["--config_file", configuration.path]
        let ahead = try Self.run(arguments + ["--check"])
        #expect(ahead.output == "perdition: all is well\n")
        #expect(ahead.status == 0)
        #expect(!FreePort.isListening(configuration.port))
        #expect(access(folder.file("pid"), F_OK) != 0, "nothing is made")

        let proxy = try ChildProcess(
            Programs.perdition.get(), name: "perdition.imap4", arguments + ["--no_daemon"], log: folder.file("log"))
        try proxy.waitUntilListening(on: configuration.port)
        func family() -> Set<pid_t> { Set(ProcessTable.family(of: proxy.pid).map(\.pid)) }
        try eventually("master, worker and provider run") { family().count == 3 }
        let before = family()
        let beside = try Self.run(arguments + ["--check"])
        #expect(beside.output == "perdition: all is well\n")
        #expect(beside.status == 0)
        #expect(family() == before)
        #expect(try MailClient(configuration.port).greeting.hasPrefix("* OK"))
        // With another pid file it is another one, which cannot have that port.
        let other = try Self.run(arguments + ["--check", "--pid_file", folder.file("other")])
        #expect(other.status == 255)
        #expect(other.output.contains("127.0.0.1:\(configuration.port) is taken by process \(proxy.pid) (perdition"))
    }

    @Test func everythingThatIsWrongIsListed() throws {
        let authority = try Authority()
        let (one, other) = (try authority.issue("one"), try authority.issue("two", validity: .expired))
        let configuration = try Configuration([])
        try configuration.replace(
            with: [
                "timeout soon", "map_library gdbm,nosuch,unix:/nonexistent/socket",
                "map_library_opt /nonexistent/popmap",
                "map_timeout 1", "ssl_cert_file \(one.chain)", "ssl_key_file \(other.key)",
                "log_facility /nonexistent/log",
                "query_key '\\x'", "username nobody-at-all", "pid_file ''",
            ], place: ["listen imap4s://192.0.2.77:\(configuration.port)"])
        let (status, output) = try Self.run(["--config_file", configuration.path, "--check"])
        #expect(status == 255)
        let lines = output.split(separator: "\n").map(String.init)
        let file = configuration.path
        for start in [
            "error: \(file):2: option timeout: \"soon\" is not a number",
            "\(file):3: --map_library nosuch: there is no",
            "\(file):3: --map_library gdbm: the map cannot be asked: ",
            "\(file):3: --map_library unix:/nonexistent/socket: the map cannot be asked: ",
            "\(file):7: --ssl_key_file \(other.key): the key does not fit the certificate",
            "\(file):8: --log_facility /nonexistent/log: no file can be made there: /nonexistent: No such file or directory",
            "warning: \(file):9: --query_key \\x: it holds an unknown escape",
            ":10: --username nobody-at-all: there is no such user",
            "error: \(file):1: --listen imap4s://192.0.2.77:\(configuration.port): cannot listen on",
        ] {
            #expect(lines.contains { $0.contains(start) }, "\(start)\nin\n\(output)")
        }
        #expect(lines.last?.hasPrefix("perdition: ") == true)
    }

    @Test(arguments: [Authority.Validity.now, .expired, .future])
    func certificatesHaveTheirTime(_ validity: Authority.Validity) throws {
        let authority = try Authority()
        let identity = try authority.issue("mail.test", by: nil, alternatives: Authority.local, validity: validity)
        let configuration = try Configuration(
            ["map_library ''", "outgoing_server 127.0.0.1", "ssl_mode ssl_listen", "pid_file ''", "log_facility -"]
                + ["ssl_cert_file \(identity.chain)", "ssl_key_file \(identity.key)"])
        let (status, output) = try Self.run(["--config_file", configuration.path, "--check"])
        let place = "\(configuration.path):8: --ssl_cert_file \(identity.chain): the certificate /CN=mail.test "
        switch validity {
        case .now:
            #expect(status == 1)
            #expect(output.hasPrefix("warning: \(place)expires on 20"), "\(output)")
            #expect(output.contains(" days: renew it\nperdition: no errors, 1 warning\n"), "\(output)")
        case .expired:
            #expect(status == 255)
            #expect(output.hasPrefix("error: \(place)has expired on 20"), "\(output)")
        default:
            #expect(status == 255)
            #expect(output.hasPrefix("error: \(place)is valid from 20"), "\(output)")
        }
    }

    // MARK: Explaining

    @Test func theWayOfALoginIsExplained() throws {
        let popmap = try Popmap(["alice:real@127.0.0.1:1143"])
        let arguments = [
            "--config_file", "", "--map_library", Programs.mapLibrary, "--map_library_opt", popmap.path, "--query_key",
            "\\U,\\u", "--username_from_database", "--lower_case", "servername_lookup", "--log_facility", "-",
        ]
        let (status, output) = try Self.run(arguments + ["--explain", "Alice@example.org"])
        #expect(status == 0)
        let rows = output.split(separator: "\n").map { line in
            line.components(separatedBy: "  ").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        }
        let source = "--map_library \(Programs.mapLibrary), --query_key"
        #expect(rows.contains(["user", "Alice@example.org", "as given; 127.0.0.1:0 to 127.0.0.1:143"]), "\(output)")
        #expect(rows.contains(["looked up", "alice@example.org", "--lower_case servername_lookup"]), "\(output)")
        #expect(rows.contains(["lookup of alice@example.org", "not there", source]), "\(output)")
        #expect(rows.contains(["lookup of alice", "real@127.0.0.1:1143", source]), "\(output)")
        #expect(rows.contains(["for the real server", "real", "the map, --username_from_database"]), "\(output)")
        #expect(rows.contains(["real server", "127.0.0.1:1143", "the map; port as there"]), "\(output)")
        #expect(rows.contains(["address", "127.0.0.1:1143"]), "\(output)")

        let unknown = try Self.run(arguments + ["--explain", "bob"])
        #expect(unknown.status == 1)
        #expect(unknown.output.contains("none: the user is refused"), "\(unknown.output)")
        let down = try Self.run(
            ["--config_file", "", "-M", "unix:/nonexistent", "--map_timeout", "1", "--explain", "bob"])
        #expect(down.status == 2)
        #expect(down.output.contains("cannot be told now"), "\(down.output)")
    }

    @Test func whatTheRealServerSaysIsShown() throws {
        let authority = try Authority()
        let root = try authority.root.get()
        let identity = try authority.issue("mail.test")
        let store = try Dovecot(users: ["alice": "secret"], identity: identity, sieve: true)
        let base = ["--config_file", "", "-M", "", "-s", "127.0.0.1", "--ssl_ca_file", root.certificate]
        let listeners = try [
            "imap4://*?ssl=tls_outgoing_force&outgoing_port=\(store.imapPort)",
            "imap4s://*?outgoing_port=\(store.securePort(.imap4))", "pop3://*?outgoing_port=\(store.pop3Port)",
            "pop3://*:1110?ssl=tls_outgoing&outgoing_port=\(store.pop3Port)",
            "managesieve://*?outgoing_port=\(store.sievePort)",
        ]
        let (status, output) = try Self.run(
            base + listeners.flatMap { ["--listen", $0] } + ["--explain", "alice", "--connect"])
        #expect(status == 0, "\(output)")
        for text in [
            "Dovecot", "STARTTLS", "TLSv1.3", "/CN=mail.test", "/CN=Test Authority", "verified", "valid until",
            " days more",
            "outgoing_port= of --listen", "IMAP4S has it", "+OK", "CAPA", "\"SIEVE\" ", "* BYE",
        ] {
            #expect(output.contains(text), "\(text) in\n\(output)")
        }
        #expect(!output.contains("fault"), "\(output)")

        // One that nobody vouches for, and one that is not there.
        let strange = try Self.run(
            [
                "--config_file", "", "-M", "", "-s", "127.0.0.1", "-p", "\(store.securePort(.imap4))", "--ssl_mode",
                "ssl_outgoing", "--explain", "alice", "--connect",
            ])
        #expect(strange.status == 3)
        #expect(strange.output.contains("was refused"), "\(strange.output)")
        let nobody = try Self.run(
            [
                "--config_file", "", "-M", "", "-s", "127.0.0.1", "-p", "\(FreePort.next())", "--explain", "alice",
                "--connect",
            ])
        #expect(nobody.status == 3)
        #expect(nobody.output.contains("Connection refused"), "\(nobody.output)")
    }
}
