internal import Glibc

/// What the system lets this process have.
public enum Limits {
    /// Lets the process open as many descriptors as it may; a relay takes two for each client.
    /// - Returns: how many that is, now.
    @discardableResult
    public static func raiseOpenFiles() -> UInt {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        let before = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return UInt(before) }
        return UInt(limit.rlim_cur)
    }
}
