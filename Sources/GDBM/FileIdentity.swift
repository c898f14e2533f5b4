import CLinux
import Glibc

/// What tells one state of a file from the next without reading it.
struct FileIdentity: Equatable, Sendable {
    let device: UInt64
    let inode: UInt64
    let size: Int64
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
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// The state of an open file.
    init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Whether a program holds the file locked for writing, as every GDBM writer does from before it changes anything
    /// until all is written.
    ///
    /// The kernel's list is read, and no lock tried: a writer that starts in that moment would give up. The list knows
    /// inodes by the file system's own device number, which `stat` hides for some (btrfs, overlays: major number 0).
    var isBeingWritten: Bool {
        guard let list = Self.lockList() else { return false }
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

    private static func lockList() -> [UInt8]? {
        let descriptor = linux_open("/proc/locks", O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var list: [UInt8] = []
        while list.count < 16 << 20 {
            let chunk = [UInt8](unsafeUninitializedCapacity: 16384) { room, count in
                count = max(0, unsafe read(descriptor, room.baseAddress, room.count))
            }
            if chunk.isEmpty { break }
            list += chunk
        }
        return list
    }
}
