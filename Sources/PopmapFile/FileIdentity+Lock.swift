import Glibc
public import PopmapTable

extension FileIdentity {
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
