internal import CLinux
internal import Glibc

/// Listening sockets that a service manager has opened for this process: LISTEN_FDS, sd_listen_fds(3).
public enum InheritedSockets {
    /// Most of them.
    private static let limit: Int32 = 250

    /// Takes the sockets, from descriptor 3 on, close-on-exec and non-blocking; the variables are removed. LISTEN_PID may
    /// be missing, but must be ours where it is set.
    /// - Throws: where the descriptors are not what the variables say.
    public static func take() throws(DaemonError) -> [Int32] {
        let count = variable("LISTEN_FDS")
        let process = variable("LISTEN_PID")
        _ = variable("LISTEN_FDNAMES")
        guard let count, process == nil || process.flatMap({ Int32($0) }) == getpid() else { return [] }
        guard let number = Int32(count), (1...limit).contains(number) else {
            throw DaemonError("LISTEN_FDS is not a number from 1 to \(limit)")
        }
        let sockets = Array(3..<3 + number)
        for socket in sockets {
            var listening: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            guard getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0, listening == 1 else {
                throw DaemonError("descriptor \(socket), named by LISTEN_FDS, is not a listening socket")
            }
            _ = linux_fcntl(socket, F_SETFD, FD_CLOEXEC)
            _ = linux_fcntl(socket, F_SETFL, linux_fcntl(socket, F_GETFL, 0) | O_NONBLOCK)
        }
        return sockets
    }

    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        defer { unsetenv(name) }
        return String(cString: value)
    }
}
