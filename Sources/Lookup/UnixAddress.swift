import CLinux
import Glibc

/// Calls on Unix-domain stream sockets by path.
package enum UnixAddress {
    /// Calls with the address of a path; fails with `ENAMETOOLONG` where it does not fit (107 bytes).
    private static func with(_ path: String, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        // An empty path or a NUL in it would name another kind of address.
        guard !bytes.isEmpty, !bytes.contains(0), bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return -1
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe call($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// `connect(2)`; on a non-blocking socket it succeeds or fails at once.
    package static func connect(_ descriptor: Int32, to path: String) -> Int32 {
        with(path) { unsafe Glibc.connect(descriptor, $0, $1) }
    }

    /// A connection for a program that may wait, close-on-exec.
    /// - Parameter seconds: how long to wait for anything to read.
    /// - Returns: the descriptor; -1, with `errno` set, where nobody serves the socket.
    package static func connected(to path: String, seconds: Int) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return -1 }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if connect(descriptor, to: path) == 0 { return descriptor }
        let code = linux_errno()
        close(descriptor)
        errno = code
        return -1
    }

    /// `bind(2)`.
    package static func bind(_ descriptor: Int32, to path: String) -> Int32 {
        with(path) { unsafe Glibc.bind(descriptor, $0, $1) }
    }
}
