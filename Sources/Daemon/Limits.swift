internal import Glibc

/// What the system lets this process have.
public enum Limits {
    /// Descriptors beyond which more are of no use: half a million sessions.
    private static let mostOpenFiles: rlim_t = 1 << 20

    /// Lets the process open as many descriptors as it may; a relay takes two for each client. Root may go beyond its
    /// hard limit, as far as the system goes (`fs.nr_open`).
    /// - Returns: how many that is, now.
    @discardableResult
    public static func raiseOpenFiles() -> UInt {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return 0 }
        let before = limit.rlim_cur
        let most = min(systemOpenFiles, mostOpenFiles)
        if geteuid() == 0, limit.rlim_max < most {
            var more = rlimit(rlim_cur: most, rlim_max: most)
            // Not where the capability to do so has been taken away.
            if setrlimit(resource, &more) == 0 { return UInt(most) }
        }
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(resource, &limit) == 0 else { return UInt(before) }
        return UInt(limit.rlim_cur)
    }

    /// Descriptors that room is made for ahead of their use.
    private static let mostInTable: UInt = 1 << 16

    /// Makes the system's table of this process's descriptors as large as it may become, up to 65,536 descriptors (512 KiB
    /// of the system's). Linux doubles it when it is full, and lets whoever opens a descriptor wait meanwhile for all
    /// processors to have passed a quiet state (`synchronize_rcu`), where there is more than one thread: tens of
    /// milliseconds each time in which no loop accepts, just when a crowd arrives.
    /// - Parameter descriptors: how many the process may open.
    public static func makeTable(for descriptors: UInt) {
        let last = Int32(clamping: min(descriptors, mostInTable)) - 1
        guard last >= 0 else { return }
        // The table stays as large as it was once.
        let highest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, last)
        if highest >= 0 { close(highest) }
    }

    /// The most the system allows any process; 0 where it does not say.
    private static var systemOpenFiles: rlim_t {
        let file = open("/proc/sys/fs/nr_open", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 32)
        let count = read(file, &text, text.count)
        guard count > 0 else { return 0 }
        return rlim_t(String(decoding: text[..<count].prefix { (48...57).contains($0) }, as: UTF8.self)) ?? 0
    }
}
