import CLinux
import Foundation
import Testing

@testable import Daemon

@Suite struct IdentityTests {
    @Test func findsNamesAndNumbers() throws {
        #expect(try Identity(user: "root", group: "root") == Identity(user: "0", group: "0"))
        #expect(try Identity(user: "nobody", group: "nogroup") == Identity(user: "65534", group: "65534"))
    }

    @Test(arguments: ["", "no such", "-1", "4294967295", "99999999999", "0x0", "١"])
    func refusesOthers(name: String) {
        #expect(throws: DaemonError("--username \(name): there is no such user")) {
            try Identity(user: name, group: "0")
        }
        #expect(throws: DaemonError("--group \(name): there is no such group")) {
            try Identity(user: "0", group: name)
        }
    }
}

@Suite struct PidFileTests {
    let scratch: Scratch
    let me: Identity

    init() throws {
        scratch = try Scratch()
        me = try Identity(user: "\(getuid())", group: "\(getgid())")
    }

    var path: String { "\(scratch.path)/x.pid" }

    func put(_ text: String) { _ = FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) }

    @Test func holdsTheNumberAndNothingElse() throws {
        let file = try PidFile(path, owner: me)
        #expect(file.notes == [])
        #expect(scratch.bytes(of: "x.pid") == Array("\(getpid())".utf8))
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o660)
        file.remove()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func makesADirectoryButNotItsParents() throws {
        let file = try PidFile("\(scratch.path)/a/x.pid", owner: me)
        defer { file.remove() }
        let mode = try FileManager.default.attributesOfItem(atPath: "\(scratch.path)/a")[.posixPermissions] as? Int
        #expect(mode.map { $0 & ~0o750 } == 0)
        #expect { try PidFile("\(scratch.path)/b/c/x.pid", owner: me) } throws: {
            "\($0)".hasPrefix("Could not make directory [\(scratch.path)/b/c] for the pid file")
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func rootGivesFileAndDirectoryToItsUser() throws {
        _ = try PidFile("\(scratch.path)/a/x.pid", owner: try Identity(user: "12345", group: "23456"))
        for name in ["a", "a/x.pid"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(scratch.path)/\(name)")
            #expect(attributes[.ownerAccountID] as? Int == 12345)
        }
        let attributes = try FileManager.default.attributesOfItem(atPath: scratch.path)
        #expect(attributes[.ownerAccountID] as? Int == 0)
    }

    @Test func replacesWhatIsStale() throws {
        // A process that has ended and been waited for has no number any more.
        let process = try Process.run(URL(fileURLWithPath: "/bin/true"), arguments: [])
        process.waitUntilExit()
        for text in ["\(process.processIdentifier)", "", "\(getpid())", "\(process.processIdentifier)\n"] {
            put(text)
            let file = try PidFile(path, owner: me)
            #expect(file.notes == ["Removed stale pid-file [\(path)]"])
            #expect(scratch.bytes(of: "x.pid") == Array("\(getpid())".utf8))
            file.remove()
        }
    }

    @Test func refusesWhileAnotherRuns() throws {
        let process = try Process.run(URL(fileURLWithPath: "/bin/sleep"), arguments: ["60"])
        defer {
            // Not SIGTERM: a blocked signal is inherited.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        put("\(process.processIdentifier)")
        let message =
            "Fatal error: Pid file [\(path)] exists for process [\(process.processIdentifier)] which appears to be "
            + "running, exiting"
        #expect(throws: DaemonError(message)) { try PidFile(path, owner: me) }
        #expect(scratch.bytes(of: "x.pid") == Array("\(process.processIdentifier)".utf8))
    }

    @Test(arguments: ["root:x:0:0\n", "12 13", "-1", "0", "99999999999999"])
    func leavesOtherFilesAlone(text: String) {
        put(text)
        #expect(throws: DaemonError("Could not write pid file [\(path)]: it holds something else")) {
            try PidFile(path, owner: me)
        }
        #expect(scratch.bytes(of: "x.pid") == Array(text.utf8))
    }

    @Test func removesOnlyItsOwn() throws {
        let file = try PidFile(path, owner: me)
        put("1")
        file.remove()
        #expect(FileManager.default.fileExists(atPath: path))
    }

    @Test func doesNotFollowALink() throws {
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "\(scratch.path)/victim")
        #expect(throws: DaemonError.self) { try PidFile(path, owner: me) }
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/victim"))
    }
}

/// What cannot be undone happens in a child.
@Suite(.serialized) struct ForkTests {
    /// Runs `body` in a child; gives the exit status, or 128 and the number of the signal that ended it.
    func child(_ body: () -> Int32) -> Int32 {
        let pid = linux_fork()
        if pid == 0 {
            // Should a lock of the parent's other threads be in the way, this is a failure and not a hang.
            alarm(60)
            _exit(body())
        }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
    }

    @Test(.enabled(if: geteuid() == 0, "only root has rights to leave"))
    func leavesRootForGood() throws {
        let nobody = try Identity(user: "65534", group: "65534")
        let status = child {
            do {
                guard try Privileges.drop(to: nobody) else { return 1 }
            } catch { return 2 }
            var groups = [gid_t](repeating: 0, count: 64)
            guard getuid() == 65534, geteuid() == 65534, getgid() == 65534, getegid() == 65534 else { return 3 }
            guard getgroups(64, &groups) == 0, setuid(0) != 0, setgid(0) != 0, seteuid(0) != 0 else { return 4 }
            // There is nothing left to leave.
            guard let again = try? Privileges.drop(to: nobody), !again else { return 5 }
            return 0
        }
        #expect(status == 0)
        #expect(geteuid() == 0)
    }

    @Test func raisesTheLimitOfDescriptors() {
        var before = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
        let hard = before.rlim_max
        let status = child {
            var low = rlimit(rlim_cur: 64, rlim_max: hard)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &low)
            return Limits.raiseOpenFiles() == UInt(hard) ? 0 : 1
        }
        #expect(status == 0)
    }

    /// The kernel's own word for the size of its table is FDSize in /proc/PID/status.
    @Test func theTableOfDescriptorsIsLargeEnoughFromTheStart() {
        let status = child {
            guard let before = Self.descriptorTable, before < 5000 else { return 1 }
            Limits.makeTable(for: 5000)
            guard let after = Self.descriptorTable, after >= 5000, after < 16_384 else { return 2 }
            // Less than there is changes nothing, and no descriptor is left open.
            Limits.makeTable(for: 64)
            guard Self.descriptorTable == after, linux_fcntl(4999, F_GETFD, 0) == -1 else { return 3 }
            return 0
        }
        #expect(status == 0)
    }

    private static var descriptorTable: Int? {
        let file = linux_open("/proc/self/status", O_RDONLY, 0)
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let lines = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix("FDSize:") }.flatMap { Int($0.filter(\.isNumber)) }
    }

    @Test func closedStandardStreamsAreFilled() {
        let status = child {
            let next = linux_open("/dev/null", O_RDWR, 0)
            close(0)
            close(2)
            Background.fillStandardStreams()
            guard linux_fcntl(0, F_GETFD, 0) == 0, linux_fcntl(2, F_GETFD, 0) == 0 else { return 1 }
            // Nothing else was taken.
            close(next)
            return linux_open("/dev/null", O_RDWR, 0) == next ? 0 : 2
        }
        #expect(status == 0)
    }

    // MARK: Background

    /// Starts a daemon in the background from a child; gives the status its starter sees.
    func start(_ daemon: (consuming Background) -> Int32) -> Int32 {
        child {
            guard let background = try? Background.enter() else { return 99 }
            _exit(daemon(background))
        }
    }

    @Test func theStarterSeesSuccess() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/facts"
        let starter = getpid()
        let status = start { background in
            background.ready()
            // Nothing that needs a lock another thread of the tests may have held at the fork.
            let facts = linux_open(path, O_WRONLY | O_CREAT, 0o600)
            var bytes: [UInt8] = [
                getsid(0) == getpid() ? 1 : 0, getppid() != starter ? 1 : 0, isatty(0) == 0 ? 1 : 0,
                linux_fcntl(1, F_GETFD, 0) >= 0 ? 1 : 0,
            ]
            write(facts, &bytes, bytes.count)
            return 7
        }
        #expect(status == 0)
        for _ in 0..<500 where scratch.bytes(of: "facts").count < 4 { usleep(10_000) }
        #expect(scratch.bytes(of: "facts") == [1, 1, 1, 1])
    }

    @Test func theStarterSeesTheStatusOfADaemonThatFails() {
        #expect(start { _ in 255 } == 255)
        #expect(start { _ in 3 } == 3)
        #expect(start { _ in 0 } == 0)
    }

    @Test func theStarterSeesTheSignalThatEndedTheDaemon() {
        let status = start { _ in
            kill(getpid(), SIGKILL)
            return 0
        }
        #expect(status == 128 + SIGKILL)
    }
}
