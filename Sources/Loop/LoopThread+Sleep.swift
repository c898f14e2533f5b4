extension LoopThread {
    /// Suspends the calling task; costs one timer, no thread.
    /// - Parameter milliseconds: how long at least.
    public func sleep(_ milliseconds: UInt64) async {
        let sleeper = Sleeper()
        await withUnsafeContinuation { continuation in
            sleeper.continuation = continuation
            _ = setTimer(sleeper, after: milliseconds)
        }
    }
}

/// Wakes one task when its time has come.
private final class Sleeper: TimerTarget {
    var continuation: UnsafeContinuation<Void, Never>?

    func timerFired() {
        guard let waiting = continuation else { return }
        continuation = nil
        waiting.resume()
    }
}
