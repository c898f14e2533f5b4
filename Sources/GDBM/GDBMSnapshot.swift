import CGDBM
import CLinux
import Glibc

/// A private copy, in memory, of a database as it was at one moment.
///
/// The file itself cannot be read safely for long: its writers rewrite it in place, under the reader's map or between
/// two of its reads. A copy that has been found whole stays right whatever they do.
final class GDBMSnapshot: Sendable {
    /// What came of taking a copy.
    enum Failure: Error {
        /// The file changed, or is being written: another try may do.
        case unsettled
        /// The file cannot be read, or is no sound database.
        case broken(GDBMError)
    }

    /// State of the file the copy was taken of.
    let identity: FileIdentity
    /// Whether the file had been at rest for longer than its time stamps are fine, so that any change shows in them.
    let settled: Bool
    private let descriptor: Int32

    /// The kernel stamps files with the time of its last tick, at most 10 milliseconds ago (at 100 Hz).
    static let tick: Int64 = 20_000_000

    /// Copies the file at a path, and reads the copy through once.
    init(of path: String) throws(Failure) {
        let source = linux_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard source >= 0 else { throw .broken(GDBMError("\(path): \(Self.systemError)")) }
        defer { close(source) }
        var kind = stat()
        guard fstat(source, &kind) == 0, kind.st_mode & S_IFMT == S_IFREG else {
            throw .broken(GDBMError("\(path): not a file"))
        }
        guard let identity = FileIdentity(descriptor: source), !identity.isBeingWritten else { throw .unsettled }
        let descriptor = gdbm_memory_file()
        guard descriptor >= 0 else { throw .broken(GDBMError("no memory for a copy of \(path): \(Self.systemError)")) }
        self.identity = identity
        self.descriptor = descriptor
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let time = Int64(now.tv_sec) &* 1_000_000_000 &+ Int64(now.tv_nsec)
        // A stamp from the future is old: this clock is not the file's.
        let age = time &- max(identity.modified, identity.changed)
        settled = age < 0 || age > Self.tick

        guard Self.copy(source, descriptor) else {
            throw .broken(GDBMError("\(path) cannot be copied: \(Self.systemError)"))
        }
        guard let after = FileIdentity(path: path), after == identity, !after.isBeingWritten else { throw .unsettled }
        do {
            // Truncated or half-written files often open well: only a whole walk tells.
            try open().forEachKey { _ in }
        } catch {
            throw .broken(GDBMError("\(path): \(error)"))
        }
    }

    deinit {
        close(descriptor)
    }

    /// A reader of this copy; one per thread.
    func open() throws(GDBMError) -> GDBMHandle {
        // By name, for a file offset of its own.
        try GDBMHandle(reading: "/proc/self/fd/\(descriptor)")
    }

    private static var systemError: String { String(cString: strerror(linux_errno())) }

    private static func copy(_ source: Int32, _ target: Int32) -> Bool {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 4096)
        defer { unsafe room.deallocate() }
        while true {
            let count = unsafe read(source, room.baseAddress, room.count)
            if count == 0 { return true }
            guard count > 0 else { return false }
            var written = 0
            while written < count {
                let step = unsafe write(target, room.baseAddress?.advanced(by: written), count - written)
                guard step > 0 else { return false }
                written += step
            }
        }
    }
}
