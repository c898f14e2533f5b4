import CLinux
import Glibc

/// A private copy, in memory, of a database as it was at one moment.
///
/// The file itself cannot be read safely for long: its writers rewrite it in place, under the reader's map or between
/// two of its reads. A copy that has been found whole stays right whatever they do.
final class PopmapSnapshot<Database: PopmapDatabase>: Sendable {
    /// State of the file the copy was taken of.
    let identity: FileIdentity
    /// Whether the file had been at rest for longer than its time stamps are fine, so that any change shows in them.
    let settled: Bool
    private let descriptor: Int32

    /// The kernel stamps files with the time of its last tick, at most 10 milliseconds ago (at 100 Hz).
    static var tick: Int64 { 20_000_000 }

    /// Copies the file at a path, and reads the copy through once.
    init(of path: String) throws(PopmapSnapshotFailure) {
        let source = linux_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard source >= 0 else { throw .broken(PopmapFileError("\(path): \(Self.systemError)")) }
        defer { close(source) }
        var kind = stat()
        guard fstat(source, &kind) == 0, kind.st_mode & S_IFMT == S_IFREG else {
            throw .broken(PopmapFileError("\(path): not a file"))
        }
        guard let identity = FileIdentity(descriptor: source), !Database.isBeingWritten(source, identity) else {
            throw .unsettled
        }
        let descriptor = linux_memory_file("popmap")
        guard descriptor >= 0 else {
            throw .broken(PopmapFileError("no memory for a copy of \(path): \(Self.systemError)"))
        }
        self.identity = identity
        self.descriptor = descriptor
        // A stamp from the future is old: this clock is not the file's.
        settled = identity.age.map { $0 > Self.tick } ?? true

        guard Self.copy(source, descriptor) else {
            throw .broken(PopmapFileError("\(path) cannot be copied: \(Self.systemError)"))
        }
        guard let after = FileIdentity(path: path), after == identity, !Database.isBeingWritten(source, after) else {
            throw .unsettled
        }
        do throws(PopmapSnapshotFailure) {
            try Database.check(name, copyOf: identity)
        } catch {
            if case .broken(let reason) = error { throw .broken(PopmapFileError("\(path): \(reason)")) }
            throw error
        }
    }

    deinit {
        close(descriptor)
    }

    /// A reader of this copy; one per thread.
    func open() throws(PopmapFileError) -> Database {
        try Database(reading: name)
    }

    /// A name of the copy; who opens it has a file offset of its own.
    private var name: String { "/proc/self/fd/\(descriptor)" }

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
