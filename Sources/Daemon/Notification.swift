internal import CLinux
internal import Glibc

/// What a service manager is told of the program: datagrams to NOTIFY_SOCKET, sd_notify(3). Without that variable nothing
/// is sent, and a manager that is not there is no reason to stop.
public enum Notification {
    /// What a manager sets, and what our own children must not take for theirs.
    public static let variables: Set = [
        "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
    ]

    /// One thing to say; several go into one datagram.
    public enum Message: Sendable, Equatable {
        /// It serves, for the first time or after a reload.
        case ready
        /// It has begun to reload.
        case reloading
        /// It has begun to end.
        case stopping
        /// It is alive.
        case watchdog
        /// How it does; control characters, a line end above all, become blanks.
        case status(String)
        /// Which process it is, where that is not the one that was started.
        case mainProcess(Int32)

        /// As sd_notify(3) has it.
        var line: String {
            switch self {
            case .ready: "READY=1"
            case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(Notification.microseconds)"
            case .stopping: "STOPPING=1"
            case .watchdog: "WATCHDOG=1"
            case .status(let text):
                "STATUS=" + String(decoding: text.utf8.prefix(500).map { $0 < 32 ? 32 : $0 }, as: UTF8.self)
            case .mainProcess(let pid): "MAINPID=\(pid)"
            }
        }
    }

    /// Tells the manager, if there is one.
    /// - Returns: whether it was told.
    @discardableResult
    public static func send(_ messages: Message...) -> Bool {
        guard let path = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }) else { return false }
        let socket = linux_socket(AF_UNIX, Int32(linux_DATAGRAM), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        let text = Array(messages.map(\.line).joined(separator: "\n").utf8)
        return with(path) { connect(socket, $0, $1) } == 0 && linux_send(socket, text, text.count) == text.count
    }

    /// How often the manager wants to hear ``Message/watchdog``, at the latest; in milliseconds.
    /// - Returns: nil where it does not, or wants it of another process.
    public static func watchdogTime() -> UInt64? {
        guard let time = number("WATCHDOG_USEC"), time > 0 else { return nil }
        guard getenv("WATCHDOG_PID") == nil || number("WATCHDOG_PID") == UInt64(getpid()) else { return nil }
        return max(1, time / 1000)
    }

    private static func number(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    private static var microseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000_000 &+ UInt64(clamping: time.tv_nsec / 1000)
    }

    /// Calls with the address of a path, or of the abstract name that begins with `@`.
    private static func with(_ path: String, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        guard let first = bytes.first, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return -1 }
        if first == UInt8(ascii: "@") { bytes[0] = 0 }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let size = (MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2) + bytes.count + (bytes[0] == 0 ? 0 : 1)
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe call($0, socklen_t(size)) }
        }
    }
}
