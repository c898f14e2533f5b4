internal import CLinux
internal import Glibc
public import Logging
internal import Synchronization

/// The open end of a log: every thread may write to it, and lines stay whole.
public final class LogSink: Sendable {
    /// Where the lines go.
    public let destination: LogDestination
    /// Stays the same number across ``reopen()``, so that writers need no lock; -1 for syslog.
    private let descriptor: Int32
    /// ` NAME[PID]: `
    private let head: [UInt8]
    private let owner: Identity?
    private let clock = Mutex(LogClock())

    /// Opens the log.
    ///
    /// A file is made where there is none, mode 0640. Root gives it to `owner`, so that the same can be opened again
    /// after rights were dropped; a file that exists is left as it is.
    /// - Parameters:
    ///   - destination: where to.
    ///   - name: of the program, for the head of each line.
    ///   - owner: who the program will run as.
    /// - Throws: when the file cannot be opened.
    public init(_ destination: LogDestination, name: String, owner: Identity? = nil) throws(DaemonError) {
        self.destination = destination
        head = Array(" \(name)[\(getpid())]: ".utf8)
        self.owner = owner
        switch destination {
        case .standardOutput: descriptor = STDOUT_FILENO
        case .standardError: descriptor = STDERR_FILENO
        case .file(let path): descriptor = try Self.open(path, owner: owner)
        case .syslog(let facility):
            descriptor = -1
            // syslog(3) keeps the pointer for as long as the program runs.
            openlog(strdup(name), LOG_PID, facility)
        }
    }

    deinit {
        if case .file = destination { close(descriptor) }
    }

    /// A logger that writes here what is at least as grave as `level`.
    public func logger(level: Logger.Level) -> Logger {
        Logger(label: "") { _ in LineLogHandler(sink: self, logLevel: level) }
    }

    /// The level that `--quiet` and `--debug` ask for.
    public static func level(quiet: Bool, debug: Bool) -> Logger.Level {
        debug ? .debug : quiet ? .error : .info
    }

    /// Writes one line. Longer ones than 4,095 bytes are cut; control characters are shown, not obeyed.
    public func write(_ level: Logger.Level, _ text: String) {
        write(level) { $0.append(text) }
    }

    /// Writes one line that `body` puts where it goes: no String has to be made for it.
    /// - Parameter body: fills the memory from its beginning, as far as it reaches, and returns how much of it.
    public func write(_ level: Logger.Level, filling body: (UnsafeMutableBufferPointer<UInt8>) -> Int) {
        write(level) { $0.append(writing: body) }
    }

    private func write(_ level: Logger.Level, _ body: (inout LogLine) -> Void) {
        let size = LogLine.maximumLength + 1
        if descriptor >= 0, let room = linux_batch_room(descriptor, size) {
            linux_batch_add(fill(UnsafeMutableBufferPointer(start: room, count: size), body))
            return
        }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size) { buffer in
            if case .syslog = destination {
                var line = LogLine(buffer)
                body(&line)
                line.end(with: 0)
                line.bytes.withMemoryRebound(to: CChar.self) { linux_syslog(Self.priority(level), $0.baseAddress) }
                return
            }
            let count = fill(buffer, body)
            // A full disk or a closed pipe must not end the program, and there is nobody left to tell.
            while Glibc.write(descriptor, buffer.baseAddress, count) < 0, linux_errno() == EINTR {}
        }
    }

    /// The whole line with its head.
    /// - Returns: its length.
    private func fill(_ buffer: UnsafeMutableBufferPointer<UInt8>, _ body: (inout LogLine) -> Void) -> Int {
        var line = LogLine(buffer)
        clock.withLock { $0.append(time(nil), to: &line) }
        line.append(trusted: head)
        body(&line)
        line.end(with: UInt8(ascii: "\n"))
        return line.count
    }

    /// From now on the calling thread's lines wait until it calls ``flush()``: a thread that logs for many sessions
    /// writes once for all of them. Lines for syslog do not wait.
    public static func batchOnThisThread() {
        _ = linux_batch_begin()
    }

    /// Writes the lines of this thread that wait.
    public static func flush() {
        linux_batch_flush()
    }

    /// Opens a file again, after logrotate(8) has moved it. When that fails, the old one stays in use.
    public func reopen() throws(DaemonError) {
        guard case .file(let path) = destination else { return }
        let fresh = try Self.open(path, owner: owner)
        defer { close(fresh) }
        guard dup2(fresh, descriptor) >= 0 else {
            throw DaemonError("Could not reopen log file [\(path)]", code: linux_errno())
        }
        _ = linux_fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    private static func open(_ path: String, owner: Identity?) throws(DaemonError) -> Int32 {
        let flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY
        let made = linux_open(path, flags | O_CREAT | O_EXCL, 0o640)
        if made >= 0 {
            if let owner, geteuid() == 0 { _ = fchown(made, owner.user, owner.group) }
            return made
        }
        let found = linux_open(path, flags, 0)
        guard found >= 0 else {
            throw DaemonError("Could not open log file [\(path)]", code: linux_errno())
        }
        return found
    }

    private static func priority(_ level: Logger.Level) -> Int32 {
        switch level {
        case .trace, .debug: LOG_DEBUG
        case .info: LOG_INFO
        case .notice: LOG_NOTICE
        case .warning: LOG_WARNING
        case .error: LOG_ERR
        case .critical: LOG_CRIT
        }
    }
}
