import Glibc

/// What tells one state of a file from the next without reading it.
public struct FileIdentity: Equatable, Sendable {
    /// The device it is on (`stat`'s number).
    public let device: UInt64
    /// Its inode there.
    public let inode: UInt64
    /// Bytes.
    public let size: Int64
    /// Nanoseconds since 1970 of the last change of its content.
    public let modified: Int64
    /// Nanoseconds since 1970 of the last change of its content or attributes.
    public let changed: Int64

    /// An identity that was written down.
    init(device: UInt64, inode: UInt64, size: Int64, modified: Int64, changed: Int64) {
        self.device = device
        self.inode = inode
        self.size = size
        self.modified = modified
        self.changed = changed
    }

    private init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
        changed = Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
    }

    /// The state of the file at a path; nil, with `errno` set, where there is none to see.
    public init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// The state of an open file.
    public init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Nanoseconds since the file was changed in any way; nil where its stamps are from the future: this clock is not
    /// the file's.
    public var age: Int64? {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let time = Int64(now.tv_sec) &* 1_000_000_000 &+ Int64(now.tv_nsec)
        let age = time &- max(modified, changed)
        return age < 0 ? nil : age
    }
}
