import Glibc

/// A point of time by which something must be over.
public struct Deadline: Sendable {
    private static let millisecond: UInt64 = 1_000_000

    /// Nanoseconds on the monotonic clock.
    private let time: UInt64

    /// The point that many milliseconds from now.
    public init(milliseconds: Int) {
        time = Self.now() &+ UInt64(max(0, milliseconds)) &* Self.millisecond
    }

    /// Milliseconds left, rounded up; 0 when it is over.
    public var remaining: Int {
        let now = Self.now()
        guard time > now else { return 0 }
        return Int((time &- now &+ Self.millisecond &- 1) / Self.millisecond)
    }

    /// Whether there is no time left.
    public var isOver: Bool { remaining == 0 }

    /// Waits until a descriptor is ready.
    /// - Parameters:
    ///   - descriptor: a socket, a pipe.
    ///   - events: as poll(2) has them.
    /// - Returns: what happened, as poll(2) has it; 0 when the time is over.
    public func wait(_ descriptor: Int32, _ events: Int32) -> Int32 {
        var entry = pollfd(fd: descriptor, events: Int16(truncatingIfNeeded: events), revents: 0)
        while true {
            let count = poll(&entry, 1, Int32(clamping: remaining))
            // Interrupted: the same again, with the time that is left.
            if count >= 0 { return count == 0 ? 0 : Int32(entry.revents) }
            guard errno == EINTR else { return POLLERR }
        }
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }
}
