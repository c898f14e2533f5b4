import Synchronization

/// Signs of life of one provider, shared by the clients of all loops: a loop whose own requests have to wait must not
/// take a provider for dead that answers the others.
public final class Pulse: Sendable {
    /// How often a silence is reported while it lasts: so many times within the patience.
    private static let reportsPerPatience: UInt64 = 8

    /// Milliseconds without any answer, while one is due, after which a provider counts as stuck.
    public let patience: UInt64
    private let report: @Sendable (_ lastAnswer: UInt64) -> Void
    /// Milliseconds on the loops' clock.
    private let lastAnswer = Atomic<UInt64>(0)
    private let lastReport = Atomic<UInt64>(0)

    /// The pulse of a provider that has not been asked yet.
    /// - Parameters:
    ///   - patience: milliseconds of silence after which it counts as stuck; more than any lookup may take.
    ///   - report: called on any loop, again and again as long as the silence lasts, with the time of the last answer on
    ///     the loops' clock, 0 where there was none. It must not block.
    public init(patience: UInt64, report: @escaping @Sendable (_ lastAnswer: UInt64) -> Void) {
        self.patience = max(patience, 1)
        self.report = report
    }

    /// Milliseconds between two looks at a silence.
    var interval: UInt64 { max(patience / Self.reportsPerPatience, 10) }

    /// Takes note of an answer.
    func answered(_ now: UInt64) {
        lastAnswer.store(now, ordering: .relaxed)
    }

    /// Reports the provider where nobody has had an answer for too long.
    /// - Parameter asked: since when the caller has waited for one.
    func check(asked: UInt64, now: UInt64) {
        let last = lastAnswer.load(ordering: .relaxed)
        guard max(last, asked) &+ patience <= now else { return }
        let reported = lastReport.load(ordering: .relaxed)
        guard reported &+ interval <= now,
            lastReport.compareExchange(expected: reported, desired: now, ordering: .relaxed).exchanged
        else { return }
        report(last)
    }
}
