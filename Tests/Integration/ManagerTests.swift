import Foundation
import Glibc
import Testing

/// What a service manager hears of the programs, and the sockets it hands them.
@Suite(.staged) struct ManagerTests {
    @Test func itIsToldOfStartReloadRefusalAndEnd() throws {
        let manager = try NotifySocket()
        let lines = ["map_library \"\"", "outgoing_server 127.0.0.1"]
        let configuration = try Configuration(lines)
        let proxy = try Perdition(.imap4, environment: manager.environment, configuration: configuration)
        let first = try proxy.worker
        let ready = try manager.message("READY=1")
        #expect(ready == ["READY=1", "STATUS=IMAP4: worker \(first.pid) serves"])

        var before = timespec()
        clock_gettime(CLOCK_MONOTONIC, &before)
        #expect(try proxy.reload().hasPrefix("Reloaded"))
        let reloading = try manager.message("RELOADING=1")
        let time = try #require(reloading.first { $0.hasPrefix("MONOTONIC_USEC=") }?.dropFirst(15))
        #expect(try #require(Int(time)) >= before.tv_sec * 1_000_000 + before.tv_nsec / 1000)
        let again = try manager.message("READY=1")
        #expect(again.last != ready.last && again.last?.hasSuffix("serves") == true, "\(again)")

        try configuration.replace(with: lines + ["no_such_option 1"])
        #expect(try proxy.reload().hasPrefix("Reload refused"))
        try manager.message("RELOADING=1")
        let refused = try manager.message("READY=1")
        #expect(refused.last?.contains("reload refused: ") == true && refused.count == 2, "\(refused)")

        for process in proxy.family where process.pid != proxy.process.pid {
            let text = FileManager.default.contents(atPath: "/proc/\(process.pid)/environ") ?? Data()
            #expect(text.range(of: Data("NOTIFY_SOCKET".utf8)) == nil, "\(process.name) could speak for the master")
        }
        proxy.process.signal(SIGTERM)
        try manager.message("STOPPING=1")
        #expect(try proxy.process.exitStatus() == 0)
    }

    @Test func aProgramThatGoesIntoTheBackgroundSaysWhichProcessItIs() throws {
        let manager = try NotifySocket()
        let directory = try TemporaryDirectory()
        let port = try FreePort.next()
        let result = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            [
                "--config_file", "/dev/null", "--bind_address", "127.0.0.1", "--listen_port", "\(port)",
                "--map_library", "", "--log_facility", directory.file("log"), "--pid_file", directory.file("pid"),
            ], environment: manager.environment)
        let pid = try #require(pid_t(directory.text("pid")))
        defer { kill(pid, SIGTERM) }
        #expect(result.status == 0)
        let message = try manager.message("READY=1")
        #expect(message.first == "MAINPID=\(pid)")
    }

    @Test func theWatchdogStarvesWhileALoopHangs() throws {
        let manager = try NotifySocket()
        let proxy = try Perdition(
            .imap4, ["--threads", "2"], environment: manager.environment.merging(["WATCHDOG_USEC": "2000000"]) { $1 })
        try manager.message("WATCHDOG=1")
        let worker = try proxy.worker
        kill(worker.pid, SIGSTOP)
        defer { kill(worker.pid, SIGCONT) }
        // What was on its way.
        _ = manager.all(within: 700)
        let meanwhile = manager.all(within: 2000)
        #expect(!meanwhile.contains(["WATCHDOG=1"]), "\(meanwhile)")
        #expect(meanwhile.contains { $0.first?.hasPrefix("STATUS=Stuck: worker \(worker.pid) ") == true })
        _ = try proxy.message { $0.hasPrefix("Watchdog: worker \(worker.pid) has a loop that has not gone round") }
        kill(worker.pid, SIGCONT)
        try manager.message("WATCHDOG=1")
        _ = try proxy.message { $0.hasSuffix("all loops go round again, the watchdog is fed") }
    }

    /// One loop of several is enough.
    @Test(.enabled(if: getuid() == 0, "only root can stop a thread of others"))
    func theWatchdogStarvesWhereOneThreadOfManyHangs() throws {
        let manager = try NotifySocket()
        let proxy = try Perdition(
            .imap4, ["--threads", "3"], environment: manager.environment.merging(["WATCHDOG_USEC": "2000000"]) { $1 })
        try manager.message("WATCHDOG=1")
        let worker = try proxy.worker
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(worker.pid)/task")
        let loop = try #require(
            threads.first {
                (try? String(contentsOfFile: "/proc/\(worker.pid)/task/\($0)/comm", encoding: .utf8)) == "loop 2\n"
            })
        // A tracer stops one thread alone.
        let tracer = try ThreadStopper(thread: #require(pid_t(loop)))
        _ = manager.all(within: 700)
        #expect(!manager.all(within: 2000).contains(["WATCHDOG=1"]))
        tracer.release()
        try manager.message("WATCHDOG=1")
    }

    @Test func theWatchdogIsFedWhileTheMasterStartsAnotherWorker() throws {
        let manager = try NotifySocket()
        let proxy = try Perdition(environment: manager.environment.merging(["WATCHDOG_USEC": "2000000"]) { $1 })
        try manager.message("WATCHDOG=1")
        for _ in 0..<8 {
            for worker in proxy.workers { kill(worker.pid, SIGKILL) }
            Nap.milliseconds(300)
        }
        #expect(manager.all(within: 2500).contains(["WATCHDOG=1"]))
        try eventually("it serves") { (try? proxy.client()) != nil }
    }

    @Test func aSocketOfSystemdIsServedAndKept() throws {
        let server = try FakeServer.mail(.imap4)
        let directory = try TemporaryDirectory()
        let port = try FreePort.next()
        let path = try directory.write("map_library \"\"\noutgoing_server 127.0.0.1:\(server.port)\n", to: "conf")
        let process = try ChildProcess(
            Programs.debian("systemd-socket-activate"),
            [
                "-l", "127.0.0.1:\(port)", Programs.perdition.get(), "--protocol", "IMAP4", "--config_file", path,
                "--pid_file", "", "--no_daemon", "--log_facility", "-",
            ], log: directory.file("log"))
        try process.waitUntilListening(on: port)
        // The first connection starts the program, and is served by it.
        let client = try MailClient(port)
        #expect(try client.login("joe", "secret") == "a OK You are so in")
        for _ in 0..<2 {
            let before = process.logLines.count
            process.signal(SIGHUP)
            try eventually("the reload") {
                process.logLines.dropFirst(before).contains { $0.contains(": Reloaded: ") }
            }
            #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
        }
        #expect(try client.ask("still there") == "you said still there")
    }

    @Test func whatNobodyAsksForIsNotTakenAndWhatIsAskedForIs() throws {
        let directory = try TemporaryDirectory()
        let (wanted, other) = (try FreePort.next(), try FreePort.next())
        func start(_ ports: [UInt16]) throws -> ChildProcess {
            try ChildProcess(
                Programs.debian("systemd-socket-activate"),
                ports.flatMap { ["-l", "127.0.0.1:\($0)"] } + [
                    Programs.perdition.get(), "--protocol", "IMAP4", "--config_file", "/dev/null", "--pid_file", "",
                    "--no_daemon", "--log_facility", "-", "--map_library", "", "--bind_address",
                    "127.0.0.1:\(wanted)",
                ], log: directory.file("log"))
        }
        let good = try start([wanted])
        try good.waitUntilListening(on: wanted)
        _ = try MailClient(wanted)
        good.end()
        let bad = try start([wanted, other])
        try bad.waitUntilListening(on: other)
        let client = try MailClient(other, greeted: false)
        #expect(try bad.exitStatus() == 255)
        client.hangUp()
        #expect(bad.log.contains("LISTEN_FDS: no option asks for the inherited socket 127.0.0.1:\(other)"))
    }

    @Test func aProviderSaysWhenItServes() throws {
        let manager = try NotifySocket()
        let popmap = try Popmap(["joe:127.0.0.1"])
        let directory = try TemporaryDirectory()
        let provider = try ChildProcess(
            Programs.gdbmProvider.get(), ["--socket", directory.file("popmap"), "--log_facility", "-"],
            log: directory.file("log"),
            environment: manager.environment.merging(["PERDITION_MAP_LIBRARY_OPT": popmap.path]) { $1 })
        try manager.message("READY=1")
        #expect(access(directory.file("popmap"), F_OK) == 0)
        provider.signal(SIGHUP)
        try manager.message { $0.first == "RELOADING=1" && $0.last?.hasPrefix("MONOTONIC_USEC=") == true }
        try manager.message("READY=1")
        provider.signal(SIGTERM)
        try manager.message("STOPPING=1")
    }
}
