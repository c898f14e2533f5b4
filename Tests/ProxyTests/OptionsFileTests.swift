import Testing

@testable import Proxy

/// What the C perdition 2.2 of Debian 12 made of the same bytes, unless a comment says otherwise.
@Suite struct OptionsFileTests {
    static let okLines: [(file: String, okLine: String)] = [
        ("ok_line A B#C\n", "A B"),
        ("ok_line \"A \\B\\\\C\"\n", "A B\\C"),
        ("ok_line 'A \\B\\\\C'\n", "A \\B\\\\C"),
        ("ok_line A\"B\"'C'D\n", "ABCD"),
        ("ok_line A\\\n  B\n", "A  B"),
        ("ok_line \"A\n  B\"\n", "A  B"),
        ("# c \\\\\nok_line X\n", "X"),
        ("# c \\\nok_line X\n", "You are so in"),
        ("# a \\b\nok_line X\n", "X"),
        ("ok_line A \"\"\n", "A "),
        ("ok_line A  \\ \n", "A   "),
        ("ok_line \\ A\n", " A"),
        ("ok_line \"A\"  \n", "A"),
        ("ok_line \" A \"  \n", " A "),
        ("\"ok_line\" A\n", "A"),
        ("ok_\\line A\n", "A"),
        ("ok_line A\\#B\n", "A#B"),
        ("ok_line A\\\r\n", "A"),
        ("ok_line \"\"\n", ""),
        ("ok_line \"A#B\"\n", "A#B"),
        ("O A\n", "A"),
        ("ok_line A \\\n\n", "A "),
        ("ok_line\\\n A\n", "A"),
        ("ok_\\\nline A\n", "A"),
        ("ok_line \"A\\\nB\"\n", "AB"),
        ("ok_line 'A\\\nB'\n", "A\\B"),
        ("ok_line A \"B\" # c\n", "A B"),
        ("ok_line a\"'\"b\n", "a'b"),
        ("ok_line \"a\\\"b\"\n", "a\"b"),
        ("ok_line \"A\" B\n", "A B"),
        ("ok_line A\\ \\ \n", "A  "),
        ("ok_line =A\n", "=A"),
        ("ok_line A\\\\\n", "A\\"),
        ("ok_line A\nok_line B\n", "B"),
        ("help\nconfig_file /x\nok_line A\n", "A"),
        // Lost there, read here: the last line without its end, a key behind blanks.
        ("ok_line A", "A"),
        (" \t ok_line A\n", "A"),
        // DOS files: a continued line was not continued there.
        ("ok_line A\\\r\nB\r\n", "AB"),
    ]

    @Test(arguments: okLines)
    func readsValues(file: String, okLine: String) throws {
        #expect(try parseOptions([], file: file).okLine == okLine)
    }

    static let refused: [(file: String, message: String)] = [
        ("\n\nbogus 1\n", "/c.conf:3: option bogus: there is no such option: --help lists those there are"),
        ("timeot 1\n", "/c.conf:1: option timeot: there is no such option: did you mean timeout?"),
        ("no-daemon\n", "/c.conf:1: option no-daemon: there is no such option: did you mean no_daemon?"),
        ("--timeout 1\n", "/c.conf:1: option --timeout: there is no such option: write it without dashes"),
        (
            "timeout=1\n",
            "/c.conf:1: option timeout=1: there is no such option: write a blank instead of =, as in timeout VALUE"
        ),
        ("TIMEOUT 1\n", "/c.conf:1: option TIMEOUT: there is no such option: did you mean timeout?"),
        (
            "ok_line a\ntimeout\n",
            "/c.conf:2: option timeout: the value is missing: write it behind the name, or \"\" for an empty one"
        ),
        (
            "ok_line #x\n",
            "/c.conf:1: option ok_line: the value is missing: write it behind the name, or \"\" for an empty one"
        ),
        ("t x\n", "/c.conf:1: option t: \"x\" is not a number: write digits only, as in 60"),
        (
            "timeout 4294967296\n",
            "/c.conf:1: option timeout: \"4294967296\" is out of bounds: write a number from 0 to 2147483647"
        ),
        (
            "debug on\n",
            "/c.conf:1: option debug: \"on\" follows an option that takes no value: write debug alone, or leave the line out"
        ),
        (
            "ok_line a\\\nb\n\nstrip_domain x\n",
            "/c.conf:4: option strip_domain: there is no state \"x\": write servername_lookup, local_authentication, remote_login or all"
        ),
        ("a\0b c\n", "/c.conf:1: a NUL byte: is this a text file?"),
        ("ok_line a\\\0b\n", "/c.conf:1: a NUL byte: is this a text file?"),
        ("ok_line 'a\nb\n", "/c.conf:3: a quote is opened and never closed"),
        (
            "protocol SMTP\n",
            "/c.conf:1: option protocol: there is no \"SMTP\": write one of POP3, IMAP4, POP3S, IMAP4S, MANAGESIEVE"
        ),
        (
            "outgoing_server a:b:c]:1,b:\n",
            "/c.conf:1: option outgoing_server: \"b:\" is not a server: write host, host:port or [address]:port, several with commas between"
        ),
        ("pid_file x.pid\n", "/c.conf:1: Invalid pid file: \"x.pid\""),
    ]

    @Test(arguments: refused)
    func refusesWithFileAndLine(file: String, message: String) {
        #expect(throws: OptionError(message)) { try parseOptions([], file: file) }
    }

    @Test func refusesTextThatIsNotUTF8() {
        #expect(throws: OptionError("/c.conf:2: the line is not UTF-8")) {
            try ConfigurationFile(path: "/c.conf", bytes: Array("debug\nok_line ".utf8) + [0xe9, 10])
        }
    }

    @Test func countsEveryLineEndOnce() throws {
        let file = try ConfigurationFile(path: "", bytes: Array("a\r\nb\rc\n\nd\\\n\nd 'x\ny'\ne".utf8))
        #expect(file.entries.map(\.line) == [1, 2, 3, 5, 7, 9])
    }

    @Test func everyPrefixOfAFileEndsInEntriesOrAnError() {
        let bytes = Array("ok_line \"A \\B\\\\C\" 'd' # e \\\n f\r\nt 1\\".utf8)
        for count in 0...bytes.count {
            _ = try? ConfigurationFile(path: "", bytes: Array(bytes.prefix(count)))
        }
        for byte in UInt8.min...UInt8.max {
            let entries = (try? ConfigurationFile(path: "", bytes: [byte, 65, byte, byte, 66]))?.entries
            #expect((entries?.count ?? 0) <= 4)
        }
    }

    // MARK: Which file

    /// Parses as `program` where `files` exist; gives the file that was read.
    func fileRead(_ program: String, _ arguments: [String] = [], files: [String: String]) throws(OptionError) -> String?
    {
        let parser = OptionParser(
            list: OptionList.all, directory: "/home",
            files: OptionFiles { path in files[path].map { .bytes(Array($0.utf8)) } ?? .absent })
        guard case .serve(let options, _) = try parser.parse([program] + arguments) else { return nil }
        return options.configFile
    }

    @Test func theProgramsNameChoosesTheFile() throws {
        var files = ["perdition.conf", "perdition.imap4s.conf", "perdition.imaps.conf", "perdition.pop3.conf"]
        func read(_ program: String) throws -> String? {
            let present = Dictionary(uniqueKeysWithValues: files.map { ("/etc/perdition/\($0)", "debug") })
            return try fileRead(program, files: present)
        }
        #expect(try read("/usr/sbin/perdition.imaps") == "/etc/perdition/perdition.imaps.conf")
        #expect(try read("perdition.imap4s") == "/etc/perdition/perdition.imap4s.conf")
        #expect(try read("perdition.imap4") == "/etc/perdition/perdition.conf")
        // The name perdition stands for POP3.
        #expect(try read("perdition") == "/etc/perdition/perdition.pop3.conf")
        files = ["perdition.imap4s.conf", "mail.conf"]
        #expect(try read("perdition.imaps") == "/etc/perdition/perdition.imap4s.conf")
        #expect(try read("mail") == "/etc/perdition/mail.conf")
        #expect(try read("perdition.pop3") == nil)
    }

    @Test func theCommandLineChoosesTheFile() throws {
        let files = ["/etc/perdition/perdition.conf": "bogus", "/home/x.conf": "debug", "/y.conf": "debug"]
        #expect(try fileRead("perdition", ["-f", "/y.conf"], files: files) == "/y.conf")
        #expect(try fileRead("perdition", ["-f", "/y.conf", "-f", "x.conf"], files: files) == "/home/x.conf")
        #expect(try fileRead("perdition", ["--config_file="], files: files) == nil)
        #expect(throws: OptionError("/z.conf: there is no such configuration file")) {
            try fileRead("perdition", ["-f", "/z.conf"], files: files)
        }
    }

    @Test func aFileThatCannotBeReadIsAnError() {
        let parser = OptionParser(
            list: OptionList.all, directory: "/",
            files: OptionFiles { _ in .failed("Permission denied") })
        let message = "/etc/perdition/perdition.pop3.conf: the configuration file cannot be read: Permission denied"
        #expect(throws: OptionError(message)) { _ = try parser.parse(["perdition"]) }
    }

    @Test func systemFiles() throws {
        func kind(_ path: String) -> String {
            switch OptionFiles.system.read(path) {
            case .bytes(let bytes): "\(bytes.count) bytes"
            case .absent: "absent"
            case .failed(let reason): reason
            }
        }
        #expect(kind("/dev/null") == "0 bytes")
        #expect(kind("/nonexistent/x") == "absent")
        #expect(kind("/dev/zero") == "it is larger than 1048576 bytes")
        #expect(kind("/dev") == "Is a directory")
    }

    // MARK: File and command line

    @Test func theCommandLineWins() throws {
        let file = """
            bind_address 10.0.0.1
            outgoing_server a,b
            query_key \\\\u
            strip_domain remote_login
            timeout 5
            connection_limit 7
            protocol IMAP4
            debug
            pid_file /a
            """
        let options = try parseOptions(
            [
                "-b", "10.0.0.2", "-s", "c", "--query_key", "", "-S", "servername_lookup", "-t", "6", "-P", "pop3",
                "-C",
                "--pid_file", "",
            ], file: file)
        #expect(options.bindAddress == [ServerAddress(host: "10.0.0.2")])
        #expect(options.outgoingServer == [ServerAddress(host: "c")])
        #expect(options.queryKey == [])
        #expect(options.stripDomain == .serverLookup)
        #expect(options.timeout == 6)
        #expect(options.connectionLimit == 7)
        #expect(options.protocolName == .pop3)
        #expect(options.debug && options.connectionLogging)
        #expect(options.pidFilePath == nil)
    }

    @Test func debiansSampleHasNoEffect() throws {
        // The form of the file that Debian installs: everything is commented out, one comment over several lines.
        let file = """
            # managesieve_capability \\
            "\\"IMPLEMENTATION\\" \\"perdition\\"  "\\
            "\\"VERSION\\" \\"1.18\\""
            #debug
            """
        var options = try parseOptions([], file: file)
        options.configFile = nil
        #expect(options == Options())
    }
}
