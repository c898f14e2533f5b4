import Glibc

/// What a login may cost, counted and not timed; a number here goes up only with a reason.
enum Budgets {
    /// Times the loop's thread goes to sleep for one IMAP4 login and logout with the ends on other threads.
    static let switchesPerLogin = 8.0

    /// How often the calling thread has gone to sleep so far.
    static func voluntarySwitches() -> Int {
        var usage = rusage()
        // RUSAGE_THREAD, which glibc shows with _GNU_SOURCE only.
        getrusage(1, &usage)
        return usage.ru_nvcsw
    }
}
