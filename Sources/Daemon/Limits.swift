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
