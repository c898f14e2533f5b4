import CLinux
import Glibc
import Loop

/// Who listens on a port of this machine, by what /proc tells (proc(5)).
struct PortOwner: Equatable {
    /// The process.
    let pid: pid_t
    /// The name of its program.
    let name: String

    /// Longest table of sockets that is read.
    private static let tableSize = 64 << 20

    /// The processes that listen where somebody who wants to listen on `address` cannot; those that can be seen.
    static func all(of address: SocketAddress) -> [PortOwner] {
        let sockets = Set(["tcp", "tcp6"].flatMap { Self.sockets(in: lines(of: "/proc/net/\($0)"), holding: address) })
        guard !sockets.isEmpty else { return [] }
        return entries(of: "/proc").compactMap { pid_t($0) }.sorted().filter { pid in
            entries(of: "/proc/\(pid)/fd").contains { sockets.contains(link("/proc/\(pid)/fd/\($0)")) }
        }.map { pid in
            PortOwner(pid: pid, name: name(of: pid))
        }
    }

    /// The name of a process's program.
    static func name(of pid: pid_t) -> String {
        lines(of: "/proc/\(pid)/comm").first.map { Printable.text($0.utf8) } ?? "?"
    }

    /// What links of descriptors to sockets look like that listen on an address, or on all of them.
    /// - Parameter table: lines of /proc/net/tcp: behind the number stand local address, remote address and state; the tenth
    ///   word is the inode.
    static func sockets(in table: [Substring], holding address: SocketAddress) -> [String] {
        let isForAll = address.number.high == 0 && address.number.low == 0
        let digits = Self.digits(address)
        return table.compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 9, words[3] == "0A" else { return nil }
            let place = words[1].split(separator: ":")
            guard place.count == 2, UInt16(place[1], radix: 16) == address.port,
                isForAll || place[0] == digits || place[0].allSatisfy({ $0 == "0" })
            else { return nil }
            return "socket:[\(words[9])]"
        }
    }

    /// An address as the tables have it: words of 32 bits, each in the order of this machine.
    private static func digits(_ address: SocketAddress) -> String {
        let (high, low) = address.number
        let words = address.kind == .v6 ? [high >> 32, high, low >> 32, low] : [low]
        return words.map { word in
            let text = String(UInt32(truncatingIfNeeded: word).bigEndian, radix: 16, uppercase: true)
            return String(repeating: "0", count: 8 - text.count) + text
        }.joined()
    }

    /// What a process was started with.
    static func commandLine(of pid: pid_t) -> [String]? {
        let bytes = bytes(of: "/proc/\(pid)/cmdline")
        guard bytes.last == 0 else { return nil }
        return bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false).map { $0.text }
    }

    /// Where a process is.
    static func directory(of pid: pid_t) -> String { link("/proc/\(pid)/cwd") }

    private static func lines(of path: String) -> [Substring] {
        String(decoding: bytes(of: path), as: UTF8.self).split(separator: "\n")
    }

    private static func bytes(of path: String) -> [UInt8] {
        let file = linux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes: [UInt8] = []
        while bytes.count < tableSize {
            let chunk = [UInt8](unsafeUninitializedCapacity: 65_536) { room, count in
                count = max(0, read(file, room.baseAddress, room.count))
            }
            if chunk.isEmpty { break }
            bytes += chunk
        }
        return bytes
    }

    private static func link(_ path: String) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4097) { room in
            guard let text = room.baseAddress else { return "" }
            let count = readlink(path, text, room.count - 1)
            guard count > 0 else { return "" }
            room[count] = 0
            return String(cString: text)
        }
    }

    private static func entries(of path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { name in
                    name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }
}
