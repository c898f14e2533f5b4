import Foundation
import Glibc
import Testing

/// `--check`, of what belongs to users, processes and secrets: pid file, passphrase of the key, PAM, sockets of providers.
@Suite(.staged) struct CheckUsersTests {
    private static let basics = [
        "--config_file", "", "--map_library", "", "--outgoing_server", "127.0.0.1", "--log_facility", "-",
        "--bind_address", "127.0.0.1",
    ]
    private static let isRoot = geteuid() == 0
    private static let well = "perdition: all is well\n"

    private static func check(
        _ arguments: [String], pidFile: String = "", input: String? = nil
    ) throws -> (status: Int32, output: String) {
        try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            basics + ["--pid_file", pidFile, "--listen_port", "\(FreePort.next())", "--check"] + arguments, input: input
        )
    }

    /// Nothing else is wrong.
    private static func expectError(
        _ text: String, _ found: (status: Int32, output: String), location: SourceLocation = #_sourceLocation
    ) {
        #expect(
            found.output == "error: \(text)\nperdition: 1 error, no warnings\n", sourceLocation: location)
        #expect(found.status == 255, sourceLocation: location)
    }

    // MARK: Pid file

    @Test func aPidFileThatCanBeWrittenIsWell() throws {
        let folder = try TemporaryDirectory()
        for path in [folder.file("pid"), folder.file("new/pid")] {
            #expect(try Self.check([], pidFile: path).output == Self.well)
        }
        // Nobody is behind it any more: a start takes it away.
        let gone = try ChildProcess("/bin/true", log: folder.file("log"))
        _ = try gone.exitStatus()
        try folder.write("\(gone.pid)", to: "old")
        #expect(try Self.check([], pidFile: folder.file("old")).output == Self.well)
        #expect(folder.text("old") == "\(gone.pid)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["log", "old"])
    }

    @Test func aPidFileThatCannotBeWrittenIsNot() throws {
        let folder = try TemporaryDirectory()
        let deep = folder.file("no/such/pid")
        Self.expectError(
            "--pid_file \(deep): it cannot be written: \(folder.file("no")): No such file or directory: make that "
                + "directory, or name another place", try Self.check([], pidFile: deep))
        let path = try folder.write("precious words", to: "letter")
        Self.expectError(
            "--pid_file \(path): Could not read pid file [\(path)]: it holds something else: remove it, or name "
                + "another file",
            try Self.check([], pidFile: path))
        #expect(folder.text("letter") == "precious words")
    }

    /// The start would refuse it, and say that it exists for a process that runs.
    @Test func aPidFileOfSomebodyElseIsNotOurs() throws {
        let folder = try TemporaryDirectory()
        let other = try ChildProcess(Programs.debian("sleep"), ["600"], log: folder.file("log"))
        let path = try folder.write("\(other.pid)", to: "pid")
        Self.expectError(
            "--pid_file \(path): it names process \(other.pid) (sleep), which is no perdition: remove the file",
            try Self.check([], pidFile: path))
        let start = try ChildProcess.run(
            Programs.perdition.get(), Self.basics + ["--pid_file", path, "--listen_port", "\(FreePort.next())"])
        #expect(start.status != 0 && start.output.contains("exists for process [\(other.pid)]"), "\(start.output)")
    }

    // MARK: Passphrase

    @Test func thePassphraseOfTheKeyIsTried() throws {
        let authority = try Authority()
        let identity = try authority.issue("mail.test", by: nil, alternatives: Authority.local, validity: .lasting)
        let key = try authority.encrypt(identity.key, "open sesame")
        let options = ["--ssl_mode", "ssl_listen", "--ssl_cert_file", identity.chain, "--ssl_key_file", key]
        let right = try authority.directory.write("open sesame\n", to: "right")
        let wrong = try authority.directory.write("close sesame\n", to: "wrong")
        #expect(try Self.check(options + ["--ssl_passphrase_file", right]).output == Self.well)
        #expect(try Self.check(options + ["--ssl_passphrase_fd", "0"], input: "open sesame\n").output == Self.well)

        let fault = "does not open the key: put the right one into its first line"
        Self.expectError(
            "--ssl_key_file \(key): the passphrase from --ssl_passphrase_file \(wrong) \(fault)",
            try Self.check(options + ["--ssl_passphrase_file", wrong]))
        Self.expectError(
            "--ssl_key_file \(key): the passphrase from --ssl_passphrase_fd 0 \(fault)",
            try Self.check(options, input: "close sesame\n"))
        Self.expectError(
            "--ssl_passphrase_file /nowhere/phrase: No such file or directory: name a file that can be read",
            try Self.check(options + ["--ssl_passphrase_file", "/nowhere/phrase"]))
    }

    /// A check asks nobody: it may run where nobody types.
    @Test func aPassphraseThatWouldBeTypedIsNotAskedFor() throws {
        let authority = try Authority()
        let identity = try authority.issue("mail.test", by: nil, alternatives: Authority.local, validity: .lasting)
        let key = try authority.encrypt(identity.key, "open sesame")
        let words =
            try [Programs.perdition.get()] + Self.basics + [
                "--protocol", "IMAP4", "--pid_file", "", "--listen_port", "\(FreePort.next())", "--ssl_mode",
                "ssl_listen",
                "--ssl_cert_file", identity.chain, "--ssl_key_file", key, "--check",
            ]
        let line = words.map { "'\($0)'" }.joined(separator: " ")
        let (status, output) = try ChildProcess.run(
            Programs.debian("script"), ["--quiet", "--return", "--command", line, "/dev/null"])
        #expect(status == 1, "\(output)")
        #expect(
            output.replacing("\r\n", with: "\n")
                == "warning: --ssl_key_file \(key): the key is encrypted and was not opened: give its passphrase in "
                + "--ssl_passphrase_file, or on descriptor 0\nperdition: no errors, 1 warning\n")
    }

    // MARK: PAM

    /// With an /etc/pam.d that is this test's alone.
    private static func checkPAM(
        _ before: String, _ arguments: [String] = [], through: String = ""
    ) throws -> (status: Int32, output: String) {
        let words =
            try [Programs.perdition.get()] + basics + [
                "--protocol", "IMAP4", "--pid_file", "", "--listen_port", "\(FreePort.next())", "--authenticate_in",
                "--check",
            ] + arguments
        let line = words.map { "'\($0)'" }.joined(separator: " ")
        return try ChildProcess.run(
            Programs.debian("unshare"),
            [
                "--mount", "/bin/sh", "-ec",
                "mount -t tmpfs -o mode=755 tmpfs /etc/pam.d; \(before)\nexec \(through) \(line)",
            ])
    }

    @Test(.enabled(if: isRoot, "only root can have an /etc/pam.d of its own")) func whatPAMNeedsIsThere() throws {
        let file = "\(Programs.source)/docs/examples/pam.d/perdition"
        #expect(try Self.checkPAM("cp '\(file)' /etc/pam.d").output == Self.well)
        let none = try Self.checkPAM("")
        Self.expectError(
            "--authenticate_in: there is no /etc/pam.d/perdition, and PAM's service for others refuses everybody: "
                + "make it, as in docs/examples/pam.d", none)

        let folder = try TemporaryDirectory()
        Self.expectError(
            "--authenticate_in: there is no perdition-auth-pam in \(folder.path); install it, or say where it is with "
                + "--map_provider_dir",
            try Self.checkPAM("cp '\(file)' /etc/pam.d", ["--map_provider_dir", folder.path]))

        let setpriv = "setpriv --reuid 65534 --regid 65534 --clear-groups --"
        let user = try Self.checkPAM("cp '\(file)' /etc/pam.d", through: setpriv)
        #expect(user.status == 1)
        #expect(
            user.output
                == "warning: --authenticate_in without root's rights: modules of PAM that need them, pam_unix for one, "
                + "will refuse every user; start perdition as root\nperdition: no errors, 1 warning\n")
    }

    // MARK: Sockets of providers

    @Test(.enabled(if: isRoot, "who is root is let everywhere, and nobody else can serve as another"))
    func theWorkersUserMustReachTheProvider() throws {
        let popmap = try Popmap(["joe:127.0.0.1"])
        let folder = try TemporaryDirectory()
        let socket = "\(try folder.folder("maps"))/users.socket"
        let provider = try ChildProcess(
            Programs.gdbmProvider.get(), ["--socket", socket, "--log_facility", "-"], log: folder.file("log"),
            environment: ["PERDITION_MAP_LIBRARY_OPT": popmap.path])
        try eventually("it serves") { access(socket, F_OK) == 0 }
        let options = ["--map_library", "unix:\(socket)", "--username", "nobody", "--group", "nogroup"]

        chown(socket, 0, 65534)
        chmod(socket, 0o660)
        #expect(try Self.check(options).output == Self.well)
        chmod(socket, 0o600)
        Self.expectError(
            "--map_library unix:\(socket): nobody (--username) must not write to that socket: give it to the group nogroup "
                + "with mode 660 (SocketGroup= of its unit), or say --group of one who may", try Self.check(options))
        // Whoever owns it is not asked for the group's right.
        chown(socket, 65534, 65534)
        chmod(socket, 0o060)
        #expect(try Self.check(options).output.contains("nobody (--username) must not write to that socket"))
        chmod(socket, 0o600)
        #expect(try Self.check(options).output == Self.well)

        chmod(folder.file("maps"), 0o700)
        Self.expectError(
            "--map_library unix:\(socket): nobody (--username) must not enter \(folder.file("maps")): let it with chmod, or "
                + "say --username and --group of somebody who may", try Self.check(options))
        // And so it is: the worker of such a configuration cannot ask.
        let proxy = try Perdition(.imap4, options)
        #expect(try proxy.client().login("joe", "secret").hasPrefix("a NO [UNAVAILABLE]"))
        withExtendedLifetime(provider) {}
    }
}
