import CLinux
import Glibc

/// What tells one state of a file from the next without reading it.
public struct FileIdentity: Equatable, Sendable {
    let device: UInt64
    let inode: UInt64
    /// Bytes.
    public let size: Int64
    /// Nanoseconds since 1970 of the last change of content, and of content or attributes.
    let modified: Int64
    let changed: Int64

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

    /// Whether a program holds the file locked with flock(2) for writing.
    ///
    /// The kernel's list is read, and no lock tried: a writer that starts in that moment would give up. The list knows
    /// inodes by the file system's own device number, which `stat` hides for some (btrfs, overlays: major number 0).
    public var isLockedForWriting: Bool {
        guard let list = try? FileContent.read("/proc/locks", limit: 16 << 20) else { return false }
        let major = (device >> 8 & 0xfff) | (device >> 32 & ~0xfff)
        let minor = (device & 0xff) | (device >> 12 & ~0xff)
        for line in list.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "))
            // 1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF
            guard fields.count >= 6, fields[1].elementsEqual("FLOCK".utf8), fields[3].elementsEqual("WRITE".utf8) else {
                continue
            }
            let place = String(decoding: fields[5], as: UTF8.self).split(separator: ":")
            guard place.count == 3, UInt64(place[2]) == inode else { continue }
            if major == 0 || (UInt64(place[0], radix: 16) == major && UInt64(place[1], radix: 16) == minor) {
                return true
            }
        }
        return false
    }
}
