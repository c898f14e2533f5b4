import Glibc

/// Why a test cannot go on, in words for whoever reads its output.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// The failure of a system call, with the system's own words.
    static func system(_ call: String) -> Failure {
        Failure("\(call): \(String(cString: strerror(errno)))")
    }
}

/// Asks again and again until `condition` holds.
///
/// - Parameters:
///   - what: Named in the failure.
///   - seconds: How long to go on asking.
/// - Throws: `Failure` when it never held.
func eventually(_ what: String, within seconds: Double = 20, _ condition: () throws -> Bool) throws {
    let deadline = Deadline(seconds: seconds)
    while try !condition() {
        guard !deadline.hasPassed else { throw Failure("never came true: \(what)") }
        usleep(10_000)
    }
}

/// A point in time that does not move when the clock is set.
struct Deadline {
    private let end: ContinuousClock.Instant

    init(seconds: Double) {
        end = .now.advanced(by: .seconds(seconds))
    }

    var hasPassed: Bool { end <= .now }

    /// What is left of it, for poll(2); never negative.
    var milliseconds: Int32 {
        let left = ContinuousClock.now.duration(to: end)
        return Int32(max(0, min(Double(Int32.max), left / .milliseconds(1))))
    }
}

/// A rest for a test that plays a slow program.
enum Nap {
    static func milliseconds(_ count: UInt32) {
        usleep(count * 1000)
    }
}
