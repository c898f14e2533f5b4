import Foundation
import Glibc
import Testing

/// What is left to whoever takes over a process that talks to the network, or to a database.
@Suite(.staged, .enabled(if: getuid() == 0, "only root can give up rights"))
struct PrivilegeTests {
    private static let none = ["0000000000000000"]

    /// Runs a command as somebody else, without capabilities.
    private func run(as process: ProcessEntry, _ command: [String]) throws -> (status: Int32, output: String) {
        let user = try #require(process.status("Uid").first)
        let group = try #require(process.status("Gid").first)
        return try ChildProcess.run(
            Programs.debian("setpriv"), ["--reuid", user, "--regid", group, "--clear-groups"] + command)
    }

    private func directory(_ process: ProcessEntry) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process.pid)/cwd")
    }

    @Test func workerAndProviderHaveNothingLeft() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, popmap: Popmap(["joe:127.0.0.1:\(server.port)"]))
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        let others = proxy.family.filter { $0.pid != proxy.process.pid }
        #expect(others.count == 2)
        for process in others {
            #expect(!process.status("Uid").contains("0") && !process.status("Gid").contains("0"), "\(process)")
            #expect(process.status("Groups").allSatisfy { $0 == process.status("Gid").first }, "\(process)")
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                #expect(process.status(set) == Self.none, "\(set) of \(process)")
            }
            #expect(process.status("NoNewPrivs") == ["1"], "\(process)")
            let limits = try String(contentsOfFile: "/proc/\(process.pid)/limits", encoding: .utf8)
            let core = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
            #expect(core?.split(separator: " ").suffix(3) == ["0", "0", "bytes"], "\(core ?? "")")
            #expect(directory(process) == "/run/perdition/empty", "\(process)")
            // Not dumpable: to the user it runs as, its memory is as far as that of root's processes.
            let memory = try run(as: process, ["head", "-c", "1", "/proc/\(process.pid)/environ"])
            #expect(memory.status != 0 && memory.output.contains("Permission denied"), "\(memory)")
            var status = stat()
            stat("/proc/\(process.pid)/mem", &status)
            #expect(status.st_uid == 0)
        }
        let empty = try FileManager.default.contentsOfDirectory(atPath: "/run/perdition/empty")
        #expect(empty == [])
        let worker = try proxy.worker
        #expect(try run(as: worker, ["touch", "/run/perdition/empty/x"]).status != 0, "nobody can write there")
    }

    @Test func keysAreOutOfReachOnceItServes() throws {
        let authority = try Authority()
        let identity = try authority.issue("localhost")
        chmod(authority.directory.path, 0o755)
        chmod(identity.key, 0o600)
        let proxy = try Perdition(
            .imap4,
            [
                "--ssl_mode", "ssl_listen", "--ssl_cert_file", identity.certificate, "--ssl_key_file", identity.key,
                "--map_library", "",
            ])
        _ = try proxy.client(secure: true)
        let worker = try proxy.worker
        #expect(try run(as: worker, ["cat", identity.certificate]).status == 0, "the test reads as the worker would")
        let key = try run(as: worker, ["cat", identity.key])
        #expect(key.status != 0 && key.output.contains("Permission denied"))
        for descriptor in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(worker.pid)/fd") {
            let target = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/\(worker.pid)/fd/\(descriptor)")
            #expect(target?.hasPrefix(authority.directory.path) != true, "descriptor \(descriptor)")
        }
        #expect(!proxy.messages.contains { $0.contains("can read it") })
    }

    @Test func aKeyThatTheWorkersUserCanReadIsWarnedOf() throws {
        let authority = try Authority()
        let identity = try authority.issue("localhost")
        chmod(identity.key, 0o644)
        let proxy = try Perdition(
            .imap4,
            ["--ssl_mode", "ssl_listen", "--ssl_cert_file", identity.certificate, "--ssl_key_file", identity.key])
        _ = try proxy.message {
            $0.hasPrefix("--ssl_key_file \(identity.key): the worker's user (--username nobody) can read it")
        }
    }

    /// The directory it leaves is where paths of its options begin.
    @Test func aProviderFindsAFileByARelativePath() throws {
        let server = try FakeServer.mail(.imap4)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let directory = try TemporaryDirectory()
        let port = try FreePort.next()
        let path = popmap.path.split(separator: "/").map(String.init)
        let process = try ChildProcess(
            "/bin/sh",
            [
                "-c", "cd / && exec \"$0\" \"$@\"", Programs.perdition.get(), "--protocol", "IMAP4", "--config_file",
                "/dev/null", "--bind_address", "127.0.0.1", "--listen_port", "\(port)", "--pid_file", "",
                "--no_daemon", "--log_facility", "-", "--map_library", "gdbm", "--map_library_opt",
                path.joined(separator: "/"),
            ], log: directory.file("log"))
        try process.waitUntilListening(on: port)
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
        process.signal(SIGHUP)
        _ = try process.logLine { $0.contains(": Reloaded: ") }
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
    }

    @Test func whatASystemManagerGrantsIsGivenUpAsWell() throws {
        let directory = try TemporaryDirectory()
        let port = try FreePort.next()
        chmod(directory.path, 0o777)
        let process = try ChildProcess(
            Programs.debian("setpriv"),
            [
                "--reuid", "daemon", "--regid", "daemon", "--clear-groups", "--inh-caps", "+net_bind_service",
                "--ambient-caps", "+net_bind_service", Programs.perdition.get(), "--protocol", "IMAP4",
                "--config_file", "/dev/null", "--bind_address", "127.0.0.1", "--listen_port", "\(port)", "--pid_file",
                "", "--no_daemon", "--log_facility", "-", "--map_library", "",
            ], log: directory.file("log"))
        try process.waitUntilListening(on: port)
        _ = try MailClient(port)
        let master = try #require(ProcessTable.entry(process.pid))
        #expect(master.status("CapAmb") != Self.none, "the test grants something")
        let worker = try #require(ProcessTable.family(of: process.pid).first { $0.parent == process.pid })
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] { #expect(worker.status(set) == Self.none, "\(set)") }
        #expect(worker.status("NoNewPrivs") == ["1"])
    }
}
