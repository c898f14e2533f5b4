import Foundation
import Glibc
import Testing

/// SIGHUP: a new configuration, new keys, popmaps and a new program, and nobody notices.
@Suite(.staged) struct ReloadTests {
    /// Sessions that stay and logins that come while the proxy is reloaded, as many as a machine with two cores takes.
    @Test func nobodyNotices() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let crowd = try Crowd()
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)", "crowd:127.0.0.1:\(crowd.port)"])
        let configuration = try Configuration(["map_library gdbm", "map_library_opt \(popmap.path)"])
        let proxy = try Perdition(.imap4, configuration: configuration)
        try crowd.grow(by: 2000, through: proxy.port, as: "crowd")
        let first = try proxy.worker
        let start = ContinuousClock.now
        let load = try Load(proxy.port, atOnce: 8, pause: 20)
        let reloads = 10
        for number in 0..<reloads {
            // Some with the same provider, some with another.
            try configuration.replace(
                with: ["map_library gdbm", "map_library_opt \(popmap.path)", "map_timeout \(5 + number / 3)"])
            let line = try proxy.reload()
            #expect(line.hasPrefix("Reloaded"), "\(line)")
            Nap.milliseconds(200)
        }
        let logins = try load.stop()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        #expect(load.failures == [], "of \(logins) logins")
        #expect(logins > 100)
        #expect(server.connections == logins)
        #expect(crowd.broken() == 0, "of \(crowd.count) sessions")
        #expect(first.isAlive, "it has sessions yet")
        print(
            "\(reloads) reloads under \(Int(Double(logins) / seconds)) logins/s (\(logins)) and \(crowd.count) sessions"
        )
        crowd.leave()
        try eventually("one worker and one provider are left") { proxy.family.count == 3 }
        #expect(!first.isAlive)
        try eventually("it says so") {
            proxy.messages.contains { $0 == "Worker \(first.pid), from before a reload, has left" }
        }
    }

    @Test func aHundredReloadsLeaveNothingBehind() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let lines = ["map_library gdbm", "map_library_opt \(popmap.path)"]
        let configuration = try Configuration(lines)
        let proxy = try Perdition(.imap4, configuration: configuration)
        func descriptors() -> [String] {
            let folder = "/proc/\(proxy.process.pid)/fd"
            let numbers = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return numbers.compactMap { number in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(number)"))
                    .map { String($0.prefix { $0 != "[" && $0 != ":" }) }
            }.sorted()
        }
        func isAlone() -> Bool { proxy.family.count == 3 }
        let master = try #require(ProcessTable.entry(proxy.process.pid))
        var before: (descriptors: [String], memory: Int)?
        for number in 0..<100 {
            // Every other time with a new provider as well.
            try configuration.replace(with: lines + ["map_timeout \(5 + number / 2 % 2)"])
            #expect(try proxy.reload().hasPrefix("Reloaded"))
            if number % 10 == 0 { #expect(try proxy.client().login("joe", "secret") == "a OK You are so in") }
            guard number == 9 else { continue }
            try eventually("the others have left") { isAlone() }
            before = (descriptors(), master.residentKiB)
        }
        try eventually("the others have left") { isAlone() }
        let first = try #require(before)
        try eventually("as many descriptors as before: \(descriptors()) and not \(first.descriptors)") {
            descriptors() == first.descriptors
        }
        #expect(master.isAlive, "it is the same process")
        #expect(master.residentKiB < first.memory * 5 / 4, "KiB, not \(first.memory)")
        print(
            "after 100 reloads: \(first.descriptors.count) descriptors, \(master.residentKiB) KiB (\(first.memory) KiB)"
        )
    }

    @Test func theNextLoginGoesWhereTheNewOptionsSay() throws {
        let (old, new) = (try FakeServer.mail(.imap4), try FakeServer.mail(.imap4))
        let configuration = try Configuration(["map_library \"\"", "outgoing_server 127.0.0.1:\(old.port)"])
        let proxy = try Perdition(.imap4, configuration: configuration)
        let session = try proxy.client()
        #expect(try session.login("joe", "secret") == "a OK You are so in")
        // One that is greeted by the old worker, and is in the middle of a command.
        let late = try proxy.client()
        try late.send("a LOGIN jo")
        try configuration.replace(
            with: ["map_library \"\"", "outgoing_server 127.0.0.1:\(new.port)", "ok_line Welcome"])
        let line = try proxy.reload()
        #expect(line.contains("changed outgoing_server, ok_line; worker"), "\(line)")
        #expect(try proxy.client().login("joe", "secret") == "a OK Welcome")
        #expect(new.connections == 1)
        #expect(try session.ask("hello") == "you said hello")
        try late.send("e secret\r\n")
        #expect(try late.lines { $0.hasPrefix("a ") }.last == "a OK You are so in")
        #expect(old.connections == 2, "who came before is served as he was greeted")
        #expect(proxy.workers.count == 2)
        session.hangUp()
        late.hangUp()
        try eventually("the old worker leaves") { proxy.workers.count == 1 }
    }

    @Test func aPopmapWithAnotherNameIsServedByANewProvider() throws {
        let (old, new) = (try FakeServer.mail(.imap4), try FakeServer.mail(.imap4))
        let (first, second) = (
            try Popmap(["joe:127.0.0.1:\(old.port)"]), try Popmap(["joe:127.0.0.1:\(new.port)"])
        )
        let configuration = try Configuration(["map_library gdbm", "map_library_opt \(first.path)"])
        let proxy = try Perdition(.imap4, configuration: configuration)
        let waiting = try proxy.client()
        func providers() -> [ProcessEntry] { proxy.family.filter { $0.executable.hasSuffix("/perdition-map-gdbm") } }
        try eventually("the provider runs") { providers().count == 1 }
        let provider = try #require(providers().first)
        #expect(try proxy.reload().hasPrefix("Reloaded"))
        #expect(providers() == [provider], "nothing has changed for it")
        try configuration.replace(with: ["map_library gdbm", "map_library_opt \(second.path)"])
        #expect(try proxy.reload().contains("changed map_library_opt"))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        #expect(old.connections == 0 && new.connections == 1)
        #expect(provider.isAlive, "somebody who came before may ask it yet")
        #expect(try waiting.login("joe", "secret") == "a OK You are so in")
        #expect(old.connections == 1 && new.connections == 1)
        waiting.hangUp()
        try eventually("the old provider has gone with the last that needed it") { !provider.isAlive }
        try eventually("three processes") { proxy.family.count == 3 }
        #expect(!proxy.process.log.contains("gives no answer"))
    }

    struct Broken: Sendable, CustomTestStringConvertible {
        let lines: [String]
        let said: [String]
        var testDescription: String { lines.joined(separator: "; ") }
    }

    @Test(arguments: [
        Broken(lines: ["timeout often"], said: ["perdition.conf:4: option timeout: "]),
        Broken(lines: ["outgoing_sever x"], said: ["perdition.conf:4: option outgoing_sever: ", "outgoing_server?"]),
        Broken(
            lines: ["username nobody-of-that-name"], said: ["--username nobody-of-that-name: there is no such user"]),
        Broken(lines: ["map_library of-no-kind"], said: ["--map_library of-no-kind"]),
        Broken(
            lines: ["bind_address 192.0.2.1"], said: ["--bind_address 192.0.2.1", "annot assign requested address"]),
        Broken(
            lines: ["ssl_mode tls_listen", "ssl_cert_file /nowhere/crt.pem"],
            said: ["--ssl_cert_file /nowhere/crt.pem: No such file"]),
        Broken(lines: ["inetd_mode"], said: ["--inetd_mode"]),
    ])
    func whatIsBrokenIsRefused(_ broken: Broken) throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let good = ["outgoing_server 127.0.0.1:\(server.port)"]
        let configuration = try Configuration(good + ["map_library \"\""])
        let proxy = try Perdition(.imap4, configuration: configuration)
        let session = try proxy.client()
        #expect(try session.login("joe", "secret") == "a OK You are so in")
        let family = proxy.family
        let place = broken.lines[0].hasPrefix("bind_address") ? ["listen_port \(proxy.port)", "map_library \"\""] : nil
        try configuration.replace(
            with: (broken.lines[0].hasPrefix("map_library") || place != nil ? [] : ["map_library \"\""]) + broken.lines,
            place: place)
        let line = try proxy.reload()
        #expect(line.hasPrefix("Reload refused, all goes on as before: "), "\(line)")
        for words in broken.said { #expect(line.contains(words), "\(line)") }
        #expect(Set(proxy.family) == Set(family), "nobody has come or gone")
        #expect(try session.ask("hello") == "you said hello")
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        // Nor does it show when the worker is started again.
        let worker = try #require(proxy.workers.first)
        kill(worker.pid, SIGKILL)
        try eventually("there is another worker") { proxy.workers.count == 1 && proxy.workers.first != worker }
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        try configuration.replace(with: good + ["map_library \"\"", "ok_line Mended"])
        #expect(try proxy.reload().hasPrefix("Reloaded"))
        #expect(try proxy.client().login("joe", "secret") == "a OK Mended")
    }

    @Test func addressesAreOpenedBeforeOthersAreClosed() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let lines = ["map_library \"\"", "outgoing_server 127.0.0.1:\(server.port)"]
        let configuration = try Configuration(lines)
        let proxy = try Perdition(.imap4, configuration: configuration)
        let (port, other) = (proxy.port, try FreePort.next())
        let session = try proxy.client()
        #expect(try session.login("joe", "secret") == "a OK You are so in")

        try configuration.replace(with: lines, place: ["bind_address 127.0.0.1:\(port),127.0.0.1:\(other)"])
        #expect(try proxy.reload().contains("changed bind_address"))
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
        #expect(try MailClient(other).login("joe", "secret") == "a OK You are so in")

        let taken = try FakeServer.mail(.imap4)
        try configuration.replace(with: lines, place: ["bind_address 127.0.0.1:\(other),127.0.0.1:\(taken.port)"])
        let line = try proxy.reload()
        #expect(line.hasPrefix("Reload refused"), "\(line)")
        #expect(line.contains("--bind_address 127.0.0.1:\(taken.port)") && line.contains("already in use"), "\(line)")
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")

        try configuration.replace(with: lines, place: ["bind_address 127.0.0.1:\(other)"])
        #expect(try proxy.reload().hasPrefix("Reloaded"))
        #expect(try MailClient(other).login("joe", "secret") == "a OK You are so in")
        try eventually("the one that is not wanted is closed") { !FreePort.isListening(port) }
        #expect(try session.ask("hello") == "you said hello")
    }

    @Test func sessionsEndAfterTheDrainTimeout() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let lines = ["map_library \"\"", "outgoing_server 127.0.0.1:\(server.port)"]
        let configuration = try Configuration(lines + ["drain_timeout 0"])
        let proxy = try Perdition(.imap4, configuration: configuration)
        let session = try proxy.client()
        #expect(try session.login("joe", "secret") == "a OK You are so in")
        #expect(try proxy.reload().hasPrefix("Reloaded"))
        #expect(proxy.workers.count == 2)
        // The newest value counts, also for those who leave already.
        try configuration.replace(with: lines + ["drain_timeout 1"])
        #expect(try proxy.reload().contains("changed drain_timeout"))
        _ = try session.rest(within: 60)
        try eventually("it has left") { proxy.workers.count == 1 }
        #expect(proxy.messages.contains { $0.contains("has had 1 s (--drain_timeout)") })
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
    }

    @Test func theProgramOnTheDiskIsTaken() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let directory = try TemporaryDirectory()
        let program = directory.file("perdition")
        func install() throws {
            // As packages do: the new file beside the old one, then in its place.
            let draft = directory.file("perdition.new")
            try FileManager.default.copyItem(atPath: Programs.perdition.get(), toPath: draft)
            guard rename(draft, program) == 0 else { throw Failure.system("rename") }
        }
        func inode(_ path: String) -> UInt64? {
            var status = stat()
            return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
        }
        try install()
        let first = inode(program)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"], program: program)
        let session = try proxy.client()
        #expect(try session.login("joe", "secret") == "a OK You are so in")

        try install()
        let second = inode(program)
        #expect(first != second)
        // A crash is no reason to change programs in the middle of everything.
        kill(try #require(proxy.workers.first).pid, SIGKILL)
        try eventually("another worker serves") { (try? proxy.client().login("joe", "secret")) == "a OK You are so in" }
        #expect(proxy.family.allSatisfy { inode("/proc/\($0.pid)/exe") == first })
        #expect(try proxy.reload().hasPrefix("Reloaded with another program (3.0.0 to 3.0.0): "))
        try eventually("the old worker has left") { proxy.workers.count == 1 }
        #expect(proxy.family.count == 2)
        #expect(proxy.family.allSatisfy { inode("/proc/\($0.pid)/exe") == second })
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")

        // What does not start, or is not there, changes nothing.
        let family = proxy.family
        try directory.write("#!/bin/sh\necho not today >&2\nexit 3\n", to: "broken")
        chmod(directory.file("broken"), 0o755)
        rename(directory.file("broken"), program)
        #expect(try proxy.reload() == "Reload refused, all goes on as before: not today")
        unlink(program)
        #expect(try proxy.reload().contains("\(program) does not start: No such file or directory"))
        try directory.write("#!/bin/sh\nkill -SEGV $$\n", to: "perdition")
        chmod(program, 0o755)
        #expect(try proxy.reload().contains("was ended by signal 11"))
        // One that reads the orders well and then cannot become the master.
        try directory.write("#!/bin/sh\nchmod -x '\(program)'\nexit 0\n", to: "perdition")
        #expect(try proxy.reload().contains("\(program): Permission denied"))
        #expect(Set(proxy.family) == Set(family))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        unlink(program)
        try install()
        #expect(try proxy.reload().hasPrefix("Reloaded with another program"))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
    }

    @Test func inTheBackgroundAsWell() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let directory = try TemporaryDirectory()
        chmod(directory.path, 0o777)
        let configuration = try Configuration(["map_library \"\"", "outgoing_server 127.0.0.1:\(server.port)"])
        let pidFile = directory.file("run/perdition.pid")
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            ["-f", configuration.path, "--pid_file", pidFile, "-F", directory.file("log")])
        #expect(status == 0, "\(output)")
        let pid = try #require(pid_t(directory.text("run/perdition.pid")))
        let master = try #require(ProcessTable.entry(pid))
        defer { if master.isAlive { kill(pid, SIGKILL) } }
        #expect(try MailClient(configuration.port).login("joe", "secret") == "a OK You are so in")
        // Relative paths of the command line are those of the start; the pid file moves when it is told to.
        rename(directory.file("log"), directory.file("log.1"))
        kill(pid, SIGHUP)
        try eventually("it is reloaded") { directory.text("log").contains("Reloaded") }
        #expect(!directory.text("log.1").contains("Reloaded"))
        #expect(master.isAlive)
        #expect(directory.text("run/perdition.pid") == "\(pid)")
        #expect(try MailClient(configuration.port).login("joe", "secret") == "a OK You are so in")
        let family = ProcessTable.family(of: pid)
        kill(pid, SIGTERM)
        try eventually("all of it is gone") { family.allSatisfy { !$0.isAlive } }
        #expect(access(pidFile, F_OK) != 0)
    }

    @Test func severalAtOnceAreDoneOneAfterTheOther() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let configuration = try Configuration(["map_library \"\"", "outgoing_server 127.0.0.1:\(server.port)"])
        let proxy = try Perdition(.imap4, configuration: configuration)
        for _ in 0..<20 {
            proxy.process.signal(SIGHUP)
            Nap.milliseconds(7)
        }
        try configuration.replace(
            with: ["map_library \"\"", "outgoing_server 127.0.0.1:\(server.port)", "ok_line Last"])
        proxy.process.signal(SIGHUP)
        try eventually("the last one counts") { try proxy.client().login("joe", "secret") == "a OK Last" }
        try eventually("one worker is left") { proxy.workers.count == 1 }
        #expect(proxy.reloads.allSatisfy { $0.hasPrefix("Reloaded") })
        proxy.process.signal(SIGTERM)
        #expect(try proxy.process.exitStatus() == 0)
    }

    @Test func endsInTheMiddleOfAReload() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        for pause in [0, 1, 5, 20, 50, 100] as [UInt32] {
            let proxy = try Perdition(.imap4, popmap: popmap)
            let session = try proxy.client()
            #expect(try session.login("joe", "secret") == "a OK You are so in")
            proxy.process.signal(SIGHUP)
            Nap.milliseconds(pause)
            proxy.process.signal(SIGTERM)
            #expect(try proxy.process.exitStatus() == 0, "\(proxy.process.log)")
            try eventually("all of it is gone") { ProcessTable.now.allSatisfy { $0.session != proxy.process.pid } }
        }
    }
}
