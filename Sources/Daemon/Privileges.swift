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

    private static func failure(_ step: String) -> DaemonError {
        DaemonError("Fatal error setting group and userid. Exiting. \(step)", code: linux_errno())
    }
}
