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

    /// `bind(2)`.
    package static func bind(_ descriptor: Int32, to path: String) -> Int32 {
        with(path) { unsafe Glibc.bind(descriptor, $0, $1) }
    }
}
