/// A lookup that somebody waits for. It may be under way on two connections: the first answer counts.
final class PendingLookup {
    let key: [UInt8]
    /// Milliseconds on the loop's clock.
    let asked: UInt64
    let deadline: UInt64
    private var continuation: UnsafeContinuation<Answer, Never>?

    init(_ key: [UInt8], asked: UInt64, deadline: UInt64, _ continuation: UnsafeContinuation<Answer, Never>) {
        self.key = key
        self.asked = asked
        self.deadline = deadline
        self.continuation = continuation
    }

    /// Whether nobody waits any more.
    var isDone: Bool { continuation == nil }

    /// Hands the answer out, if it is the first.
    func answer(_ answer: Answer) {
        continuation.take()?.resume(returning: answer)
    }
}
