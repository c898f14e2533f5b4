internal import CLinux
internal import Glibc

/// Root's rights, and how they are left for good.
public enum Privileges {
    /// Becomes `identity`, without any of the groups the program was started with, and proves that there is no way
    /// back. A program that root did not start keeps the rights it has, as it cannot gain others.
    /// - Returns: whether anything changed.
    /// - Throws: when a step fails; the program must not go on then.
    @discardableResult
    public static func drop(to identity: Identity) throws(DaemonError) -> Bool {
        guard geteuid() == 0 else { return false }
        // Where a container has not left us the right to, `confine` sees to it that nothing can be regained.
        _ = linux_drop_bounding_capabilities()
        guard setgroups(0, nil) == 0 else { throw failure("setgroups") }
        guard setgid(identity.group) == 0 else { throw failure("setgid") }
        guard setuid(identity.user) == 0 else { throw failure("setuid") }
        guard getuid() == identity.user, geteuid() == identity.user, getgid() == identity.group,
            getegid() == identity.group
        else { throw DaemonError("Fatal error setting group and userid. Exiting.") }
        if identity.user != 0 {
            guard setuid(0) != 0, setgid(0) != 0 || identity.group == 0 else {
                throw DaemonError("Fatal error setting group and userid: root could be regained. Exiting.")
            }
        }
        return true
    }

    /// Gives up what is left beside user and group: every capability, those a service manager has granted as well, and
    /// what programs with the set-user-ID bit would give. Nobody but root may look into the memory from now on.
    /// - Throws: when a step fails; the program must not go on then.
    public static func confine() throws(DaemonError) {
        guard linux_drop_capabilities() == 0 else {
            throw DaemonError("No way to give up rights: capset", code: linux_errno())
        }
        guard linux_prctl(Int32(linux_PR_SET_NO_NEW_PRIVS), 1) == 0 else {
            throw DaemonError("No way to give up rights: PR_SET_NO_NEW_PRIVS", code: linux_errno())
        }
        hideMemory()
    }

    /// Keeps what is in memory from other processes of the same user, and from files: no core is written, and only root
    /// may trace. A change of user or program undoes a part of it. Reports of crashes do not need it.
    public static func hideMemory() {
        _ = linux_prctl(Int32(linux_PR_SET_DUMPABLE), 0)
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    }

    // MARK: A directory for those who need none

    /// Where processes stay that need no directory: empty, and root's.
    public static let emptyDirectory = "/run/perdition/empty"

    /// Makes it, where root may.
    public static func makeEmptyDirectory() {
        guard geteuid() == 0 else { return }
        var path = ""
        for part in emptyDirectory.split(separator: "/") {
            path += "/\(part)"
            // Whatever the umask: others have to be able to enter it.
            if mkdir(path, 0o755) == 0 { chmod(path, 0o755) }
        }
    }

    /// Goes there; where it is not, to the root directory.
    public static func enterEmptyDirectory() {
        if chdir(emptyDirectory) != 0 { _ = chdir("/") }
    }

    private static func failure(_ step: String) -> DaemonError {
        DaemonError("Fatal error setting group and userid. Exiting. \(step)", code: linux_errno())
    }
}
