import Foundation
import Glibc
import Testing

/// The units of docs/examples/systemd, and what machines without systemd use.
@Suite(.staged) struct UnitTests {
    /// Worse than this, as `systemd-analyze security` counts exposure (0 to 10), the units must not become.
    private static let exposure = [
        "perdition@.service": 3.0, "perdition-map-ldap@.service": 1.5, "perdition-map-gdbm@.service": 1.0,
    ]
    private static let providers = [
        "perdition-map-gdbm", "perdition-map-bdb", "perdition-map-ldap", "perdition-map-mysql", "perdition-map-nis",
        "perdition-map-postgres", "perdition-map-regex",
    ]

    /// An installation: units, the script they start, and the programs by their names.
    private static func install(into directory: TemporaryDirectory) throws -> (units: String, script: String) {
        let prefix = directory.file("usr")
        let units = directory.file("units")
        let libexec = try directory.folder("usr/libexec/perdition")
        _ = try directory.folder("usr/sbin")
        let result = try ChildProcess.run(
            "\(Programs.source)/Scripts/units",
            ["--prefix", prefix, "--files", "perdition-map-gdbm perdition-map-bdb perdition-map-regex", units]
                + providers)
        try #require(result.status == 0, "\(result.output)")
        for name in ["pop3", "pop3s", "imap4", "imap4s", "imaps", "managesieve"] {
            symlink(try Programs.perdition.get(), "\(prefix)/sbin/perdition.\(name)")
        }
        for name in providers { symlink("\(Programs.binaries)/\(name)", "\(libexec)/\(name)") }
        return (units, "\(libexec)/perdition-service")
    }

    @Test func systemdUnderstandsThem() throws {
        let directory = try TemporaryDirectory()
        let (units, _) = try Self.install(into: directory)
        var files = ["pop3", "pop3s", "imap4", "imap4s", "managesieve"].flatMap {
            ["\(units)/perdition@\($0).service", "\(units)/perdition@\($0).socket"]
        }
        for name in Self.providers { files += ["\(units)/\(name)@users.service", "\(units)/\(name)@users.socket"] }
        for file in files {
            let result = try ChildProcess.run(
                Programs.debian("systemd-analyze"), ["verify", "--man=no", file],
                environment: ["SYSTEMD_UNIT_PATH": "\(units):"])
            // Units of the machine itself may be anything.
            let ours = result.output.split(separator: "\n").filter { $0.contains("perdition") }
            #expect(result.status == 0 && ours == [], "\(file): \(result.output)")
        }
    }

    @Test(arguments: exposure.keys.sorted()) func theyLeaveLittleToAnAttacker(_ unit: String) throws {
        let directory = try TemporaryDirectory()
        let (units, _) = try Self.install(into: directory)
        let result = try ChildProcess.run(
            Programs.debian("systemd-analyze"), ["security", "--offline=true", "--no-pager", "\(units)/\(unit)"])
        let verdict = try #require(
            result.output.split(separator: "\n").first { $0.contains("Overall exposure level for") }, "\(result)")
        let number = verdict.split(separator: " ").compactMap { Double($0) }.first
        print("\(unit): \(number ?? -1)")
        #expect(try #require(number) <= #require(Self.exposure[unit]), "\(result.output)")
    }

    @Test func etcDefaultSaysWhatRuns() throws {
        let directory = try TemporaryDirectory()
        let (_, script) = try Self.install(into: directory)
        func wanted(_ text: String?, _ instance: String = "imap4") throws -> Int32 {
            let file = directory.file("default")
            unlink(file)
            if let text { try directory.write(text, to: "default") }
            return try ChildProcess.run(script, [instance, "wanted"], environment: ["PERDITION_DEFAULT": file]).status
        }
        #expect(try wanted("RUN_PERDITION=yes\n") == 0)
        #expect(try wanted("RUN_PERDITION=yes\nPOP3=no\n") == 0)
        #expect(try wanted("RUN_PERDITION=no\n") == 1)
        #expect(try wanted("FLAGS=\n") == 1, "as it was without systemd")
        #expect(try wanted(nil) == 0, "whoever enables the unit wants it")
        #expect(try wanted("RUN_PERDITION=yes\nIMAP4=no\n") == 1)
        #expect(try wanted("RUN_PERDITION=yes\nIMAP4S=no\n", "imaps") == 1)
        #expect(try wanted("RUN_PERDITION=yes\n", "smtp") == 255)
    }

    /// The shell reads the file, so that words and variables of it are what they were.
    @Test func flagsReachTheProgram() throws {
        let server = try FakeServer.mail(.imap4)
        let directory = try TemporaryDirectory()
        let (_, script) = try Self.install(into: directory)
        let port = try FreePort.next()
        try directory.write(
            """
            RUN_PERDITION=yes
            PLACE="--bind_address 127.0.0.1"
            FLAGS="$PLACE --config_file /dev/null --log_facility - --pid_file="
            IMAP4_FLAGS="--listen_port \(port) --map_library= --outgoing_server 127.0.0.1:\(server.port)"
            POP3_FLAGS="--no_such_option"
            """, to: "default")
        let manager = try NotifySocket()
        let process = try ChildProcess(
            script, ["imap4", "run"], log: directory.file("log"),
            environment: manager.environment.merging(["PERDITION_DEFAULT": directory.file("default")]) { $1 })
        try manager.message("READY=1")
        let client = try MailClient(port)
        #expect(try client.login("joe", "secret") == "a OK You are so in")
        #expect(process.pid == ProcessTable.entry(process.pid)?.pid && !process.hasEnded, "no process is in between")
    }

    @Test func theInitScriptStartsReloadsAndStops() throws {
        let server = try FakeServer.mail(.imap4)
        let directory = try TemporaryDirectory()
        _ = try Self.install(into: directory)
        symlink(try Programs.perdition.get(), directory.file("usr/sbin/perdition"))
        let (port, pop) = (try FreePort.next(), try FreePort.next())
        try directory.write(
            """
            RUN_PERDITION=yes
            POP3S=no IMAP4S=no MANAGESIEVE=no
            FLAGS="--config_file /dev/null --log_facility \(directory.file("log")) --map_library= --bind_address 127.0.0.1"
            IMAP4_FLAGS="--listen_port \(port) --outgoing_server 127.0.0.1:\(server.port)"
            POP3_FLAGS="--listen_port \(pop)"
            """, to: "default")
        func service(_ command: String) throws -> (status: Int32, output: String) {
            try ChildProcess.run(
                "\(Programs.source)/docs/examples/init.d/perdition", [command],
                environment: [
                    "SBIN": directory.file("usr/sbin"), "RUN": try directory.folder("run"),
                    "PERDITION_DEFAULT": directory.file("default"),
                ])
        }
        defer { _ = try? service("stop") }
        #expect(try service("status").status == 3)
        let start = try service("start")
        #expect(start.status == 0, "\(start.output)")
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
        #expect(try MailClient(pop).greeting.hasPrefix("+OK"))
        let status = try service("status")
        #expect(status.status == 0 && status.output.contains("perdition.imap4 runs, process "), "\(status.output)")
        #expect(!status.output.contains("perdition.imaps"))
        #expect(try service("reload").status == 0)
        try eventually("both have reloaded") {
            directory.text("log").split(separator: "\n").count { $0.contains(": Reloaded: ") } == 2
        }
        #expect(try service("stop").status == 0)
        #expect(!FreePort.isListening(port) && !FreePort.isListening(pop))
        try directory.write("RUN_PERDITION=no\n", to: "default")
        #expect(try service("start").status == 0)
        #expect(!FreePort.isListening(port))
    }
}
