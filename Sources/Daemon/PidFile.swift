internal import CLinux
internal import Glibc

/// The file that tells scripts which process to signal.
public struct PidFile: Sendable {
    /// Where it is.
    public let path: String
    /// What happened on the way that an administrator may want to know.
    public let notes: [String]

    /// Writes the number of this process into a new file, mode 0660 and owned by `owner`, in a directory that is made
    /// if missing (mode 0750, the same owner). The file of a process that is gone is replaced.
    /// - Throws: when the process of an existing file runs, or the file cannot be written.
    public init(_ path: String, owner: Identity) throws(DaemonError) {
        self.path = path
        notes = try Self.removeStale(path)
        try Self.makeDirectory(of: path, owner: owner)
        let file = linux_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o660)
        guard file >= 0 else { throw DaemonError("Could not write pid file [\(path)]", code: linux_errno()) }
        defer { close(file) }
        _ = fchmod(file, 0o660)
        if geteuid() == 0 { _ = fchown(file, owner.user, owner.group) }
        let text = Array(String(getpid()).utf8)
        guard write(file, text, text.count) == text.count else {
            let code = linux_errno()
            unlink(path)
            throw DaemonError("Could not write pid file [\(path)]", code: code)
        }
    }

    /// The file this process has written before it became another program.
    public init(ownAt path: String) {
        self.path = path
        notes = []
    }

    /// Removes the file, unless it has become another process's.
    public func remove() {
        if case .process(getpid()) = Self.owner(of: path) { unlink(path) }
    }

    /// The number of the process that runs with a pid file; nil where there is no file, or nobody is behind it any more.
    /// - Throws: where the file holds something else.
    public static func process(at path: String) throws(DaemonError) -> Int32? {
        switch owner(of: path) {
        case .absent, .empty: return nil
        case .unreadable(let reason): throw DaemonError("Could not read pid file [\(path)]: \(reason)")
        case .process(let pid): return kill(pid, 0) == 0 || linux_errno() == EPERM ? pid : nil
        }
    }

    /// What a file at the place of a pid file says.
    private enum Owner {
        case absent
        case process(pid_t)
        /// Somebody died between making and writing it.
        case empty
        /// Not a pid file: a path given by mistake, say.
        case unreadable(String)
    }

    private static func owner(of path: String) -> Owner {
        let file = linux_open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0)
        guard file >= 0 else {
            let code = linux_errno()
            return code == ENOENT ? .absent : .unreadable(systemText(code))
        }
        defer { close(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
            count = max(0, read(file, buffer.baseAddress, buffer.count))
        }
        let text = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard let first = text.first else { return .empty }
        guard text.count == 1, let pid = pid_t(first), pid > 0 else { return .unreadable("it holds something else") }
        return .process(pid)
    }

    private static func removeStale(_ path: String) throws(DaemonError) -> [String] {
        switch owner(of: path) {
        case .absent: return []
        case .unreadable(let reason): throw DaemonError("Could not write pid file [\(path)]: \(reason)")
        case .process(let pid) where pid != getpid() && (kill(pid, 0) == 0 || linux_errno() == EPERM):
            throw DaemonError(
                "Fatal error: Pid file [\(path)] exists for process [\(pid)] which appears to be running, exiting")
        // Our own number: written in an earlier life of a container, where numbers repeat.
        case .process, .empty:
            guard unlink(path) == 0 else {
                throw DaemonError("Could not remove stale pid-file [\(path)]", code: linux_errno())
            }
            return ["Removed stale pid-file [\(path)]"]
        }
    }

    private static func makeDirectory(of path: String, owner: Identity) throws(DaemonError) {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
        let directory = String(path[..<slash])
        guard mkdir(directory, 0o750) == 0 else {
            let code = linux_errno()
            if code == EEXIST { return }
            throw DaemonError("Could not make directory [\(directory)] for the pid file", code: code)
        }
        guard geteuid() == 0 else { return }
        let made = linux_open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
        guard made >= 0 else { return }
        _ = fchown(made, owner.user, owner.group)
        close(made)
    }
}
