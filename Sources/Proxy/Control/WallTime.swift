import Glibc

/// The time of day, as people and programs read it.
enum WallTime {
    /// Seconds since 1970.
    static var now: UInt64 { UInt64(clamping: time(nil)) }

    /// `2026-11-28T13:15:00Z` (RFC 3339).
    /// - Parameter seconds: since 1970.
    static func text(_ seconds: UInt64) -> String {
        var time = time_t(clamping: seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(two(parts.tm_hour)):"
            + "\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}
