import Foundation
import Glibc
import Testing

/// Processes that end when nobody wanted them to: who waits is served, the log says what happened, nobody is left over.
@Suite(.staged) struct CrashTests {
    @Test func whoWaitsIsServedByTheNextWorker() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let proxy = try Perdition(.imap4, popmap: popmap)
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        var slowest = 0.0
        for _ in 0..<5 {
            // So that each round costs the restart what it costs in life.
            Nap.milliseconds(1000)
            let worker = try proxy.worker
            try stop(worker)
            let clients = try (0..<100).map { _ in try proxy.client(greeted: false) }
            let start = ContinuousClock.now
            kill(worker.pid, SIGKILL)
            #expect(try clients[0].line().hasPrefix("* OK "))
            slowest = max(slowest, (ContinuousClock.now - start) / .milliseconds(1))
            for client in clients.dropFirst() { #expect(try client.line().hasPrefix("* OK ")) }
            for client in clients { #expect(try client.login("joe", "secret") == "a OK You are so in") }
            #expect(!worker.isAlive)
        }
        #expect(slowest < 10_000, "milliseconds; no pause before the restart")
        print("kill -9: the next client was greeted within \(slowest) ms at most")
    }

    /// Stops a process and waits until each of its threads has stopped.
    private func stop(_ process: ProcessEntry) throws {
        kill(process.pid, SIGSTOP)
        let folder = "/proc/\(process.pid)/task"
        try eventually("every thread stands still") {
            try FileManager.default.contentsOfDirectory(atPath: folder).allSatisfy { thread in
                try String(contentsOfFile: "\(folder)/\(thread)/status", encoding: .utf8).contains("State:\tT")
            }
        }
    }

    @Test(arguments: [(SIGSEGV, "SIGSEGV"), (SIGILL, "SIGILL"), (SIGABRT, "SIGABRT"), (SIGTRAP, "SIGTRAP")])
    func theLogSaysWhereItWas(_ number: Int32, _ name: String) throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"])
        #expect(try proxy.client().login("joe", "very-secret") == "a OK You are so in")
        let worker = try proxy.worker
        kill(worker.pid, number)
        _ = try proxy.message { $0 == "worker was ended by signal \(number); it is started again" }
        let report = proxy.messages.filter { $0.hasPrefix("worker: Crash: ") }
        let head = try #require(report.first)
        #expect(head.hasPrefix("worker: Crash: signal \(number) (\(name), "), "\(head)")
        for words in ["thread \"", "process \(worker.pid), version 3.0.0, build ", "; sent by process \(getpid())"] {
            #expect(head.contains(words), "\(head)")
        }
        #expect(head.contains(#/build [0-9a-f]{40}/#), "\(head)")
        // It slept in its loop, and was called by main.
        #expect(report.contains { $0.contains("LoopThread") || $0.contains("0A6Thread") }, "\(report)")
        #expect(report.contains { $0.contains(#/Crash: +\d+ perdition\+0x[0-9a-f]+ _start\+0x/#) }, "\(report)")
        let shape = #/worker: Crash: +\d+ (not in any code|\S+\+0x[0-9a-f]+( \S+\+0x[0-9a-f]+)?)/#
        #expect(report.dropFirst().allSatisfy { $0.wholeMatch(of: shape) != nil }, "\(report)")
        #expect(report.count < 80)
        #expect(!proxy.process.log.contains("very-secret"))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
    }

    #if arch(x86_64)
        @Test func threadsTellOfThemselves() throws {
            let proxy = try Perdition(.imap4, ["--threads", "2"])
            let worker = try proxy.worker
            let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(worker.pid)/task")
            let thread = try #require(
                tasks.compactMap { pid_t($0) }.first { task in
                    let name = try? String(contentsOfFile: "/proc/\(worker.pid)/task/\(task)/comm", encoding: .utf8)
                    return name == "loop 1\n"
                })
            // Swift cannot call syscall(2): this is tgkill(2).
            let script = "import ctypes; ctypes.CDLL(None).syscall(234, \(worker.pid), \(thread), \(SIGSEGV))"
            #expect(try ChildProcess.run(Programs.debian("python3"), ["-c", script]).status == 0)
            let head = try proxy.message { $0.hasPrefix("worker: Crash: signal 11 ") }
            #expect(head.contains("thread \"loop 1\""), "\(head)")
        }
    #endif

    /// Each of the two loops may be between the answer and the line at that moment.
    @Test func everyLineOfBeforeIsInTheLog() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let directory = try TemporaryDirectory()
        chmod(directory.path, 0o777)
        let proxy = try Perdition(
            .imap4, ["-s", "127.0.0.1:\(server.port)", "--threads", "2"], log: directory.file("log"))
        var answered = 0
        for _ in 0..<10 {
            let clients = try (0..<40).map { _ in try proxy.client() }
            for client in clients { try client.send("a LOGIN joe secret\r\n") }
            // In the middle of it.
            if try clients[0].lineOrEnd() != nil { answered += 1 }
            let worker = try proxy.worker
            kill(worker.pid, SIGSEGV)
            for client in clients.dropFirst() where (try? client.lineOrEnd()) == "a OK You are so in" { answered += 1 }
            try eventually("another worker serves") { proxy.workers.count == 1 && !worker.isAlive }
            Nap.milliseconds(800)
        }
        let logged = directory.text("log").split(separator: "\n").count { $0.contains("status=\"ok\"") }
        #expect(answered > 0)
        #expect(logged >= answered - 2 * 10, "who was told that he is in is in the log")
        print("\(answered) logins answered, \(logged) logged over 10 crashes")
    }

    @Test func whatAProviderSaysOnStandardErrorIsLogged() throws {
        let directory = try TemporaryDirectory()
        let program = try directory.write(
            "#!/bin/sh\nprintf 'Fatal error: \\033[1mout of range\\n' >&2\nkill -9 $$\n", to: "map")
        chmod(program, 0o755)
        let log = try TemporaryDirectory()
        chmod(log.path, 0o777)
        let proxy = try Perdition(.imap4, ["--map_library", program], log: log.file("log"))
        try eventually("it is in the log") { log.text("log").contains("map: Fatal error: \\033[1mout of range\n") }
        #expect(try proxy.client().ask("a NOOP") == "a OK NOOP")
    }

    @Test(.enabled(if: PAMService.isPossible, "needs root: services of PAM are files in /etc/pam.d"))
    func noOrphans() throws {
        let service = try PAMService(["auth required pam_permit.so", "account required pam_permit.so"])
        let server = try FakeServer.mail(.imap4, users: nil)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let rules = try popmap.directory.write("joe: 127.0.0.1:\(server.port)\n", to: "popmap.re")
        for step in 0..<3 {
            let gdbm = try Programs.gdbmProvider.get()
            let regex = gdbm.replacingOccurrences(of: "-gdbm", with: "-regex")
            let proxy = try Perdition(
                .imap4,
                ["--map_library", "\(gdbm),\(regex)", "-m", popmap.path, "-m", rules] + service.options)
            let session = try proxy.client()
            #expect(try session.login("joe", "secret") == "a OK You are so in")
            try eventually("all run") { proxy.family.count >= 5 }
            if step == 1 {
                #expect(try proxy.reload().hasPrefix("Reloaded"))
                #expect(proxy.workers.count == 2, "one has a session yet")
            }
            if step == 2 { proxy.process.signal(SIGHUP) }
            let family = proxy.family
            proxy.process.signal(SIGKILL)
            try eventually("all of it is gone: \(family.filter(\.isAlive))") { family.allSatisfy { !$0.isAlive } }
            try eventually("and what it started meanwhile") {
                ProcessTable.now.allSatisfy { $0.session != proxy.process.pid || $0.state == "Z" }
            }
        }
    }
}
