import Foundation
import Glibc

/// A program started by a test, in a session of its own; ended with all it started when the object goes away.
final class ChildProcess {
    let pid: pid_t
    let logPath: String
    private var status: Int32?

    /// Starts `program`.
    ///
    /// - Parameters:
    ///   - program: Its path.
    ///   - name: What it sees as its own name, its path if nil.
    ///   - input: A file to read from, else /dev/null.
    ///   - log: The file that gets what it prints; appended to.
    ///   - environment: Set on top of this process's.
    /// - Throws: `Failure` when it cannot be started.
    init(
        _ program: String, name: String? = nil, _ arguments: [String] = [], input: String = "/dev/null", log: String,
        environment: [String: String] = [:]
    ) throws {
        guard access(program, X_OK) == 0 else { throw Failure("\(program) is not there") }
        logPath = log
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // A child must not hold sockets of other tests open. They are closed there: marked in this process, one that
        // Foundation is about to hand on, by which it learns of a program's end, would be lost to that.
        for number in 3...(ChildProcess.highestDescriptor + 32) {
            posix_spawn_file_actions_addclose(&actions, number)
        }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let flags =
            POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
            | 0x80 /* POSIX_SPAWN_SETSID, which glibc shows with _GNU_SOURCE only */
        posix_spawnattr_setflags(&attributes, Int16(flags))

        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argv = ([name ?? program] + arguments).map { strdup($0) } + [nil]
        var envp = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var pid = pid_t()
        var status = posix_spawn(&pid, program, &actions, &attributes, &argv, &envp)
        // A script just written is open for writing in whatever another test is starting at this very moment.
        for _ in 0..<500 where status == ETXTBSY {
            usleep(10_000)
            status = posix_spawn(&pid, program, &actions, &attributes, &argv, &envp)
        }
        guard status == 0 else { throw Failure("\(program) does not start: \(String(cString: strerror(status)))") }
        self.pid = pid
    }

    deinit {
        end()
    }

    /// What it has printed so far.
    var log: String {
        FileManager.default.contents(atPath: logPath).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    var logLines: [String] {
        log.split(separator: "\n").map(String.init)
    }

    /// Waits for a line of the log.
    func logLine(within seconds: Double = 20, where matches: (String) -> Bool) throws -> String {
        var found: String?
        do {
            try eventually("a line of the log", within: seconds) {
                found = logLines.first(where: matches)
                return found != nil || hasEnded
            }
        } catch {
            throw Failure("\(error); the log:\n\(log)")
        }
        if let found = logLines.first(where: matches) { return found }
        throw Failure("ended (\(status ?? -1)) without the line that was waited for; the log:\n\(log)")
    }

    /// Waits until some process listens on `port`.
    func waitUntilListening(on port: UInt16) throws {
        do {
            try eventually("listening on \(port)") { FreePort.isListening(port) || hasEnded }
        } catch {
            throw Failure("\(error); the log:\n\(log)")
        }
        guard FreePort.isListening(port) else { throw Failure("ended (\(status ?? -1)) at start; the log:\n\(log)") }
    }

    var hasEnded: Bool {
        if status != nil { return true }
        var raw: Int32 = 0
        guard waitpid(pid, &raw, WNOHANG) == pid else { return false }
        let signal = raw & 0x7f
        status = signal == 0 ? (raw >> 8) & 0xff : -signal
        return true
    }

    /// Waits for the end: the exit status, or the negative number of the signal that ended it.
    func exitStatus(within seconds: Double = 20) throws -> Int32 {
        try eventually("the end of process \(pid)", within: seconds) { hasEnded }
        return status ?? 0
    }

    func signal(_ number: Int32) {
        if !hasEnded { kill(pid, number) }
    }

    /// Asks it to end, and makes it and what it left behind in its session end.
    func end() {
        signal(SIGTERM)
        _ = try? exitStatus(within: 10)
        for left in ProcessTable.now.filter({ $0.session == pid && $0.pid != pid }) { kill(left.pid, SIGKILL) }
        signal(SIGKILL)
        _ = try? exitStatus(within: 10)
    }

    private static var highestDescriptor: Int32 {
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return numbers.compactMap { Int32($0) }.max() ?? 1024
    }

    /// Runs a program to its end.
    ///
    /// - Returns: Exit status, and what it printed on both outputs.
    static func run(
        _ program: String, name: String? = nil, _ arguments: [String] = [], input: String? = nil,
        environment: [String: String] = [:], within seconds: Double = 120
    ) throws -> (status: Int32, output: String) {
        let directory = try TemporaryDirectory()
        let source = try input.map { try directory.write($0, to: "input") } ?? "/dev/null"
        let process = try ChildProcess(
            program, name: name, arguments, input: source, log: directory.file("output"), environment: environment)
        let status = try process.exitStatus(within: seconds)
        return (status, process.log)
    }
}
