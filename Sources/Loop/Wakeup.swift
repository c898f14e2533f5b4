/// Why a wait on a channel ended.
public enum Wakeup: Sendable {
    /// The descriptor can be tried again.
    case ready
    /// The time allowed is over.
    case timedOut
    /// The channel was closed by this program while somebody waited on it.
    case closed
}
