import Logging
import Synchronization

/// Something the log tells once a minute as long as it goes on, on whichever loop.
final class Notice: Sendable {
    /// Milliseconds between two lines.
    static let interval: UInt64 = 60_000

    private let log: Logger
    private let level: Logger.Level
    /// When the next line may come, on the loops' clock.
    private let due = Atomic<UInt64>(0)
    private let silent = Atomic<Int>(0)

    /// A notice that has not been given yet.
    init(_ log: Logger, level: Logger.Level = .error) {
        self.log = log
        self.level = level
    }

    /// Says it, unless it was said within the last minute.
    /// - Parameters:
    ///   - now: milliseconds on the loops' clock.
    ///   - text: the line, made only where it is due; it is handed what to say of those that were left out.
    func say(_ now: UInt64, _ text: (_ more: String) -> String) {
        let due = due.load(ordering: .relaxed)
        guard due <= now,
            self.due.compareExchange(expected: due, desired: now &+ Self.interval, ordering: .relaxed).exchanged
        else {
            silent.add(1, ordering: .relaxed)
            return
        }
        let left = silent.exchange(0, ordering: .relaxed)
        log.log(level: level, "\(text(left > 0 ? "; \(left) more since the last line" : ""))")
    }
}
