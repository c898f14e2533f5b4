internal import Glibc

/// The time as log lines show it, `Nov 22 10:02:02`, made once a second.
struct LogClock {
    private var second: time_t = -1
    private var text = [UInt8](repeating: UInt8(ascii: " "), count: 15)

    private static let months = Array("JanFebMarAprMayJunJulAugSepOctNovDec".utf8)

    /// Appends the local time `now`, 15 bytes.
    mutating func append(_ now: time_t, to line: inout LogLine) {
        if now != second { text = text(at: now) }
        line.append(trusted: text)
    }

    /// The local time `now`, as 15 bytes.
    mutating func text(at now: time_t) -> [UInt8] {
        guard now != second else { return text }
        var now = now
        var parts = tm()
        guard localtime_r(&now, &parts) != nil else { return text }
        second = now
        let month = 3 * Int(parts.tm_mon)
        var next = Array(Self.months[month..<month + 3])
        next.append(UInt8(ascii: " "))
        for (number, mark) in [(parts.tm_mday, " "), (parts.tm_hour, ":"), (parts.tm_min, ":"), (parts.tm_sec, "")] {
            let blank = mark == " " && number < 10
            next.append(blank ? UInt8(ascii: " ") : UInt8(ascii: "0") + UInt8(number / 10))
            next.append(UInt8(ascii: "0") + UInt8(number % 10))
            next += mark.utf8
        }
        text = next
        return text
    }
}
