import CLinux
import Glibc
import Loop

/// The Unix socket where `perditionctl` asks. The master makes it, so that it outlives every worker; who may use it is
/// what its permissions say, at first only the user the master runs as.
struct ControlSocket {
    /// Where sockets are that no option names.
    static let directory = "/run/perdition"
    /// Requests that may wait.
    private static let backlog: Int32 = 16

    /// Where it is.
    let path: String
    /// The listening end, for the worker.
    let listener: Int32

    /// The socket the options ask for; nil where they ask for none. Without `--control_socket` root has one for each
    /// instance, or none where it cannot be: nobody has asked for it.
    /// - Parameter present: one that is kept where it is the one that is asked for.
    static func open(_ options: Options, keeping present: ControlSocket?) throws(Listening.Failure) -> ControlSocket? {
        if let path = options.controlSocket {
            guard !path.isEmpty else { return nil }
            guard path.hasPrefix("/") else {
                throw Listening.Failure(description: "--control_socket \(path): give a path from / on")
            }
            if let present, present.path == path { return present }
            do throws(Errno) {
                return try ControlSocket(path)
            } catch {
                throw Listening.Failure(description: "--control_socket \(path): \(Self.explain(error))")
            }
        }
        guard geteuid() == 0 else { return nil }
        let paths = ["\(options.programName).control", "\(options.programName).\(getpid()).control"]
            .map { "\(directory)/\($0)" }
        if let present, paths.contains(present.path) { return present }
        mkdir(directory, 0o755)
        for path in paths {
            if let made = try? ControlSocket(path) { return made }
        }
        return nil
    }

    private static func explain(_ error: Errno) -> String {
        error == Errno(EADDRINUSE) ? "another process listens there" : error.description
    }

    /// Makes one; what a program that was killed has left there is taken away.
    private init(_ path: String) throws(Errno) {
        guard let address = SocketAddress(path: path) else { throw Errno(ENAMETOOLONG) }
        try Self.removeStale(path, address)
        let descriptor = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        guard descriptor >= 0 else { throw .last }
        // There is no moment at which others could connect.
        let mask = umask(0o177)
        let isBound = address.withSocketAddress { bind(descriptor, $0, $1) } == 0
        let code = linux_errno()
        umask(mask)
        guard isBound, listen(descriptor, Self.backlog) == 0 else {
            let error = isBound ? Errno.last : Errno(code)
            if isBound { unlink(path) }
            close(descriptor)
            throw error
        }
        self.path = path
        listener = descriptor
    }

    /// One that was made before.
    init(path: String, listener: Int32) {
        self.path = path
        self.listener = listener
    }

    private static func removeStale(_ path: String, _ address: SocketAddress) throws(Errno) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw Errno(EEXIST) }
        let descriptor = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        guard descriptor >= 0 else { throw .last }
        defer { close(descriptor) }
        guard address.withSocketAddress({ connect(descriptor, $0, $1) }) != 0, linux_errno() == ECONNREFUSED else {
            throw Errno(EADDRINUSE)
        }
        unlink(path)
    }

    /// Takes it out of the file system and closes it.
    func remove() {
        unlink(path)
        close(listener)
    }
}
