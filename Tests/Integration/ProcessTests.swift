import Foundation
import Glibc
import Testing

/// The master, what it starts, and how all of it begins and ends.
@Suite(.staged) struct ProcessTests {
    @Test func theFamilyIsAMasterAWorkerAndAProvider() throws {
        let proxy = try Perdition(.imap4, popmap: Popmap())
        try eventually("worker and provider run") { proxy.family.count == 3 }
        let family = proxy.family.dropFirst()
        #expect(family.count { $0.executable.hasSuffix("/perdition") } == 1)
        #expect(family.count { $0.executable.hasSuffix("/perdition-map-gdbm") } == 1)
    }

    @Test(.enabled(if: getuid() == 0, "only root can give up rights")) func whoServesIsNobody() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, popmap: Popmap(["joe:127.0.0.1:\(server.port)"]))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        let nobody = try #require(getpwnam("nobody")?.pointee.pw_uid)
        let nogroup = try #require(getgrnam("nogroup")?.pointee.gr_gid)
        for process in proxy.family where process.pid != proxy.process.pid {
            #expect(process.status("Uid") == Array(repeating: "\(nobody)", count: 4), "\(process)")
            #expect(process.status("Gid") == Array(repeating: "\(nogroup)", count: 4), "\(process)")
            #expect(process.status("Groups").allSatisfy { $0 == "\(nogroup)" }, "no groups of root's are left")
            #expect(process.status("CapEff") == ["0000000000000000"], "no capabilities are left")
        }
    }

    @Test(.enabled(if: getuid() == 0, "only root can become somebody else")) func userAndGroupCanBeChosen() throws {
        let proxy = try Perdition(.imap4, ["--username", "daemon", "--group", "mail"])
        _ = try proxy.client()
        let user = try #require(getpwnam("daemon")?.pointee.pw_uid)
        let group = try #require(getgrnam("mail")?.pointee.gr_gid)
        try eventually("the worker runs") { proxy.family.count > 1 }
        for process in proxy.family where process.pid != proxy.process.pid {
            #expect(process.status("Uid").first == "\(user)")
            #expect(process.status("Gid").first == "\(group)")
        }
    }

    @Test func aProviderThatIsKilledUnderLoadCostsNoLogin() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, popmap: Popmap(["joe:127.0.0.1:\(server.port)"]))
        let load = try Load(proxy.port, atOnce: 4, pause: 5)
        // More often would be answered with ever longer pauses before the next start.
        var killed: Set<pid_t> = []
        try eventually("three providers have been killed", within: 60) {
            for provider in proxy.family where provider.executable.hasSuffix("/perdition-map-gdbm") {
                kill(provider.pid, SIGKILL)
                killed.insert(provider.pid)
            }
            Nap.milliseconds(300)
            return killed.count >= 3
        }
        let logins = try load.stop()
        #expect(load.failures == [], "of \(logins) logins")
        #expect(server.connections == logins)
    }

    @Test func aWorkerThatIsKilledIsReplaced() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, popmap: Popmap(["joe:127.0.0.1:\(server.port)"]))
        // A child that is about to become a provider is the same program for a moment: what answers a client is not.
        for _ in 0..<3 {
            _ = try proxy.client()
            let old = try proxy.worker
            kill(old.pid, SIGKILL)
            try eventually("another worker runs") { (try? proxy.worker).map { $0.pid != old.pid } ?? false }
            #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        }
    }

    @Test(arguments: [SIGTERM, SIGINT]) func aSignalEndsItAndNoChildSurvives(_ number: Int32) throws {
        let proxy = try Perdition(.imap4, popmap: Popmap())
        _ = try proxy.client()
        let family = proxy.family
        #expect(!family.isEmpty)
        proxy.process.signal(number)
        #expect(try proxy.process.exitStatus() == 0)
        try eventually("all of it is gone") { family.allSatisfy { !$0.isAlive } }
        #expect(!FreePort.isListening(proxy.port))
        _ = try proxy.message { $0 == "Exiting on signal \(number)" }
    }

    @Test func aMasterThatIsKilledLeavesNoChild() throws {
        let proxy = try Perdition(.imap4, popmap: Popmap())
        _ = try proxy.client()
        let family = proxy.family
        proxy.process.signal(SIGKILL)
        try eventually("all of it is gone") { family.allSatisfy { !$0.isAlive } }
    }

    @Test(arguments: [SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD, SIGWINCH]) func otherSignalsDoNothing(_ number: Int32) throws
    {
        let proxy = try Perdition(.imap4)
        _ = try proxy.client()
        proxy.process.signal(number)
        for _ in 0..<5 { #expect(try proxy.client().ask("a NOOP") == "a OK NOOP") }
        #expect(!proxy.process.hasEnded)
    }

    @Test func inTheBackgroundWithAPidFile() throws {
        let directory = try TemporaryDirectory()
        let port = try FreePort.next()
        let pidFile = directory.file("run/perdition.pid")
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            [
                "-f", "/dev/null", "-b", "127.0.0.1", "-l", "\(port)", "--pid_file", pidFile, "-M", "", "--username",
                String(cString: getpwuid(getuid()).pointee.pw_name), "--log_facility", directory.file("log"),
            ], within: 30)
        #expect(status == 0, "the caller gets its terminal back: \(output)")
        try eventually("it listens") { FreePort.isListening(port) }
        try eventually("the pid file is there") { !directory.text("run/perdition.pid").isEmpty }
        let pid = try #require(pid_t(directory.text("run/perdition.pid")), "a number and nothing else")
        let master = try #require(ProcessTable.entry(pid))
        defer { if master.isAlive { kill(pid, SIGKILL) } }
        #expect(master.session != getsid(0), "it has a session of its own")
        #expect(try MailClient(port).ask("a NOOP") == "a OK NOOP")

        let (_, second) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            [
                "-f", "/dev/null", "-b", "127.0.0.1", "-l", "\(FreePort.next())", "--pid_file", pidFile, "-M", "", "-F",
                "-",
            ],
            within: 30)
        #expect(second.contains("exists for process [\(pid)]"), "a second one is told: \(second)")

        let family = ProcessTable.family(of: pid)
        kill(pid, SIGTERM)
        try eventually("all of it is gone") { family.allSatisfy { !$0.isAlive } }
        #expect(access(pidFile, F_OK) != 0, "the pid file is removed")
    }

    @Test func aStalePidFileIsReplaced() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("999999", to: "perdition.pid")
        let proxy = try Perdition(.imap4, ["--pid_file", file])
        _ = try proxy.message { $0.contains("Removed stale pid-file [\(file)]") }
        try eventually("its own number is there") { directory.text("perdition.pid") == "\(proxy.process.pid)" }
    }
}
