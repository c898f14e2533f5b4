import CLinux
import Glibc

/// Builds a database beside its place and puts it there in one step: readers see the old one or the new one.
///
/// Where the directory may not be written to but the file may, it is rewritten in place.
public final class PopmapWriter<Database: PopmapDatabase> {
    private let target: String
    /// Where it is built; nil for in its place.
    private let draft: String?
    private let handle: Database

    /// Starts an empty database.
    /// - Parameter path: where it is to be; a symbolic link stays one, and what it names is replaced.
    /// - Throws: `PopmapFileError` where nothing can be written there.
    public init(path: String) throws(PopmapFileError) {
        var target = path
        if let resolved = realpath(path, nil) {
            target = String(cString: resolved)
            free(resolved)
        }
        self.target = target
        let draft = "\(target).\(getpid())"
        // Whatever has this name is a leftover: only this process may use it.
        unlink(draft)
        do {
            let (handle, inPlace) = try Self.create(draft, else: target)
            self.handle = handle
            self.draft = inPlace ? nil : draft
        } catch {
            throw PopmapFileError("\(path): \(error)")
        }
    }

    private static func create(_ draft: String, else target: String) throws(PopmapFileError) -> (
        Database, inPlace: Bool
    ) {
        do {
            return (try Database(creating: draft), false)
        } catch {
            guard access(target, W_OK) == 0 else { throw error }
            return (try Database(creating: target), true)
        }
    }

    deinit {
        if let draft { unlink(draft) }
    }

    /// Adds a key that is new.
    /// - Returns: false where it is there already, which leaves it as it is.
    /// - Throws: `PopmapFileError` where the disk is full, say.
    public func insert(_ key: [UInt8], _ value: [UInt8]) throws(PopmapFileError) -> Bool {
        try handle.insert(key, value)
    }

    /// Puts the database into its place, with owner and permissions of the one that was there.
    /// - Throws: `PopmapFileError`, and the one that was there stays.
    public func finish() throws(PopmapFileError) {
        try handle.finish()
        guard let draft else { return }
        var old = stat()
        if stat(target, &old) == 0 {
            // Owner first, since a change of owner may clear bits; where it may not be given away, the group at least.
            if chown(draft, old.st_uid, old.st_gid) != 0 { _ = chown(draft, .max, old.st_gid) }
            guard chmod(draft, old.st_mode & 0o7777) == 0 else { throw failure() }
        }
        guard Self.flush(draft), rename(draft, target) == 0 else { throw failure() }
        // The new name is to outlive a power cut as well; a file system that cannot do that is no reason to fail.
        let slash = target.lastIndex(of: "/")
        _ = Self.flush(slash.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? ".")
    }

    private func failure() -> PopmapFileError {
        PopmapFileError("\(target): \(String(cString: strerror(linux_errno())))")
    }

    private static func flush(_ path: String) -> Bool {
        let descriptor = linux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return fsync(descriptor) == 0
    }
}
