import Foundation
import Glibc

/// A process as /proc shows it.
struct ProcessEntry: Hashable {
    let pid: pid_t
    let name: String
    let state: Character
    let parent: pid_t
    let session: pid_t
    /// Clock ticks after boot; with the number it names a process for good.
    let started: UInt64

    /// Number and start name a process for good; what it does at the moment is no part of who it is.
    static func == (one: ProcessEntry, other: ProcessEntry) -> Bool {
        one.pid == other.pid && one.started == other.started
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(pid)
        hasher.combine(started)
    }

    /// Whether this very process still runs.
    var isAlive: Bool {
        guard let now = ProcessTable.entry(pid) else { return false }
        return now.started == started && now.state != "Z"
    }

    /// A line of /proc/PID/status, such as `Uid`.
    func status(_ key: String) -> [String] {
        let text = FileManager.default.contents(atPath: "/proc/\(pid)/status") ?? Data()
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(key + ":") }
        return line.map { $0.split(whereSeparator: \.isWhitespace).dropFirst().map(String.init) } ?? []
    }

    /// Resident memory in KiB.
    var residentKiB: Int { status("VmRSS").first.flatMap { Int($0) } ?? 0 }

    /// How many descriptors it has open. Needs root where it runs as somebody else.
    var descriptors: Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []).count
    }

    /// The file it was started from.
    var executable: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")) ?? ""
    }

    var arguments: [String] {
        let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// All processes of this machine.
enum ProcessTable {
    static var now: [ProcessEntry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.compactMap(entry)
    }

    /// `pid` and all that descend from it.
    static func family(of pid: pid_t) -> [ProcessEntry] {
        let all = now
        var members = all.filter { $0.pid == pid }
        var next = 0
        while next < members.count {
            members += all.filter { $0.parent == members[next].pid }
            next += 1
        }
        return members
    }

    static func entry(_ pid: pid_t) -> ProcessEntry? {
        guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        // The name stands in parentheses and may hold anything, parentheses too.
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else { return nil }
        let name = text[text.index(after: open)..<close]
        let columns = text[text.index(after: close)...].split(separator: " ")
        guard columns.count > 19, let state = columns[0].first, let parent = pid_t(columns[1]),
            let session = pid_t(columns[3]), let started = UInt64(columns[19])
        else { return nil }
        return ProcessEntry(
            pid: pid, name: String(name), state: state, parent: parent, session: session, started: started)
    }
}
