import Glibc

/// What the loop may cost, counted and not timed; a number here goes up only with a reason.
enum Budgets {
    /// Times the loop's thread goes to sleep for one wait on a peer that answers at once. A task that bounces through
    /// the global pool costs two.
    static let switchesPerWait = 1.1

    /// How often the calling thread has gone to sleep so far.
    static func voluntarySwitches() -> Int {
        var usage = rusage()
        // RUSAGE_THREAD, which glibc shows with _GNU_SOURCE only.
        getrusage(1, &usage)
        return usage.ru_nvcsw
    }
}
