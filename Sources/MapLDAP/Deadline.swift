import Glibc

/// A moment on the monotonic clock by which something must be over.
struct Deadline: Sendable {
    private let moment: UInt64

    private static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1000 &+ UInt64(truncatingIfNeeded: time.tv_nsec) / 1_000_000
    }

    /// The moment so many milliseconds from now.
    init(in milliseconds: Int) {
        moment = Self.now &+ UInt64(max(0, milliseconds))
    }

    /// Milliseconds that are left; 0 when it is past.
    var remaining: Int32 {
        let now = Self.now
        return now >= moment ? 0 : Int32(clamping: moment - now)
    }

    /// What is left, as the client library takes it.
    var interval: timeval {
        let left = Int(remaining)
        return timeval(tv_sec: left / 1000, tv_usec: left % 1000 * 1000)
    }

    /// The end of one of so many equal parts of what is left, so that the first server that hangs leaves time for the
    /// next.
    func part(of count: Int) -> Deadline {
        Deadline(in: Int(remaining) / max(1, count))
    }
}
