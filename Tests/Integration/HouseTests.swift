import Foundation
import Glibc
import Testing

/// What people type: make run, make install.
@Suite(.staged) struct HouseTests {
    @Test(arguments: [SIGINT, SIGTERM]) func theDemonstrationServesAndLeavesNothing(_ number: Int32) throws {
        let directory = try TemporaryDirectory()
        let demo = try ChildProcess(
            "\(Programs.source)/Scripts/demo",
            [
                "--perdition", Programs.perdition.get(), "--makegdbm", Programs.makegdbm.get(), "--map-library",
                Programs.mapLibrary, "--imap-port", "\(FreePort.next())", "--pop3-port", "\(FreePort.next())",
            ], log: directory.file("log"), environment: ["TMPDIR": directory.path])
        _ = try demo.logLine(within: 60) { $0.hasPrefix("Ctrl-C ends it all") }
        for proof in [
            "IMAP4 alice -> store A", "POP3  alice -> store A", "IMAP4 bob   -> store B", "POP3  bob   -> store B",
        ] {
            #expect(demo.log.contains(proof))
        }
        // What it says to try is tried, as it is printed.
        let tries = demo.logLines.filter { $0.hasPrefix("  curl ") }
        #expect(tries.count == 3)
        for line in tries {
            let (status, output) = try ChildProcess.run("/bin/sh", ["-c", "\(line) -sS -m 30"])
            #expect(status == 0, "\(line): \(output)")
            #expect(output.contains(line.contains("alice") ? "store A" : "store B"))
        }
        let family = ProcessTable.family(of: demo.pid)
        #expect(family.count > 4)
        demo.signal(number)
        #expect(try demo.exitStatus(within: 60) == 0)
        try eventually("nothing is left running") { family.allSatisfy { !$0.isAlive } }
        let left = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        #expect(left == ["log"], "no file is left either")
    }

    @Test func theDemonstrationSaysWhatFailed() throws {
        let directory = try TemporaryDirectory()
        let (status, output) = try ChildProcess.run(
            "\(Programs.source)/Scripts/demo",
            ["--perdition", "/bin/false", "--makegdbm", Programs.makegdbm.get(), "--imap-port", "\(FreePort.next())"],
            environment: ["TMPDIR": directory.path], within: 60)
        #expect(status == 1)
        #expect(output.contains("demo: perdition.imap4"), "\(output)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    @Test func installedItRunsFromThere() throws {
        let directory = try TemporaryDirectory()
        // The programs are built already, and a build inside a test would wait for its own caller.
        let make = try ChildProcess.run(
            Programs.debian("make"),
            [
                "-C", Programs.source, "--old-file=build", "install", "PREFIX=/usr", "DESTDIR=\(directory.path)",
                "BIN=\(Programs.binaries)",
            ])
        #expect(make.status == 0, "\(make.output)")
        let names = [
            "", "-map-bdb", "-map-gdbm", "-map-ldap", "-map-mysql", "-map-nis", "-map-postgres", "-map-regex", ".imap4",
            ".imap4s", ".imaps", ".managesieve", ".pop3", ".pop3s",
        ]
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.file("usr/sbin")).sorted()
                == names.map { "perdition\($0)" } + ["perditionctl"])
        #expect(access(directory.file("usr/libexec/perdition/perdition-map-gdbm"), X_OK) == 0)
        #expect(access(directory.file("usr/sbin/perdition-map-gdbm"), X_OK) == 0)
        #expect(access(directory.file("usr/bin/makegdbm"), X_OK) == 0)

        let server = try FakeServer.mail(.pop3)
        let proxy = try Perdition(
            .pop3, popmap: Popmap(["joe:127.0.0.1:\(server.port)"]), program: directory.file("usr/sbin/perdition.pop3"))
        #expect(try proxy.client().logIn(.pop3) == "+OK You are so in")
        proxy.process.end()

        let undo = try ChildProcess.run(
            Programs.debian("make"),
            ["-C", Programs.source, "uninstall", "PREFIX=/usr", "DESTDIR=\(directory.path)"])
        #expect(undo.status == 0, "\(undo.output)")
        let left = FileManager.default.enumerator(atPath: directory.file("usr"))
        while let name = left?.nextObject() as? String {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: directory.file("usr/\(name)"), isDirectory: &isFolder)
            #expect(isFolder.boolValue, "\(name) is left")
        }
    }
}
