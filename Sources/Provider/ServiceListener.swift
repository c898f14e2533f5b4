import CLinux
import Daemon
import Glibc
import Lookup
import Loop

/// The listening sockets of a provider: inherited ones stay, one made here is removed at the end.
public struct ServiceListener: Sendable {
    /// A reason not to start.
    public struct Failure: Error, CustomStringConvertible {
        /// A sentence for the log.
        public let description: String
    }

    /// Connections that may wait to be accepted: a whole proxy that comes back at once.
    static let backlog: Int32 = 1024

    /// The listening end; non-blocking, close-on-exec.
    public let descriptor: Int32
    /// Path of a socket made here; nil for an inherited one.
    let path: String?

    /// The sockets handed over by whoever started this program (``InheritedSockets``).
    /// - Throws: where the descriptors are not what the variables say.
    public static func inherited() throws(Failure) -> [ServiceListener] {
        do throws(DaemonError) {
            return try InheritedSockets.take().map { ServiceListener(descriptor: $0, path: nil) }
        } catch {
            throw Failure(description: error.description)
        }
    }

    /// Makes a socket. It is bound beside its place and renamed into it, so that there is no moment without one and
    /// none with the wrong permissions; a dead one is replaced, one that is served is not.
    static func make(path: String, mode: mode_t) throws(Failure) -> ServiceListener {
        try checkFree(path)
        let descriptor = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        guard descriptor >= 0 else { throw failure("make a socket", path) }
        let draft = "\(path).\(getpid())"
        unlink(draft)
        guard UnixAddress.bind(descriptor, to: draft) == 0 else {
            defer { close(descriptor) }
            throw failure("make the socket", path)
        }
        guard chmod(draft, mode) == 0, listen(descriptor, backlog) == 0, rename(draft, path) == 0 else {
            defer {
                unlink(draft)
                close(descriptor)
            }
            throw failure("make the socket", path)
        }
        return ServiceListener(descriptor: descriptor, path: path)
    }

    private static func checkFree(_ path: String) throws(Failure) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw Failure(description: "\(path) exists and is not a socket")
        }
        let probe = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        guard probe >= 0 else { throw failure("make a socket", path) }
        defer { close(probe) }
        // A full queue of connections (EAGAIN) is a sign of life, too.
        if UnixAddress.connect(probe, to: path) == 0 || linux_errno() == EAGAIN {
            throw Failure(description: "\(path) is served by another program")
        }
    }

    private static func failure(_ what: String, _ path: String) -> Failure {
        Failure(description: "cannot \(what) \(path): \(Errno.last)")
    }

    /// Removes a socket made here, unless another program has put its own in the place.
    func remove() {
        guard let path else { return }
        let probe = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        guard probe >= 0 else { return }
        defer { close(probe) }
        close(descriptor)
        if UnixAddress.connect(probe, to: path) != 0, linux_errno() == ECONNREFUSED { unlink(path) }
    }
}
