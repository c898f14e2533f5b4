/// What the programs may cost, counted and not timed; a number here goes up only with a reason.
enum Budgets {
    /// Calls of malloc and its relatives in the worker for one session: connect, log in, log out, close.
    static func allocationsPerLogin(_ flavour: Flavour) -> Double {
        switch flavour {
        case .imap4: 92
        case .pop3: 75
        }
    }

    /// Bytes those calls ask for.
    static let bytesAllocatedPerLogin = 38_000.0

    /// Bytes of the worker's heap that one logged-in session holds, TLS aside.
    static let heapPerIdleSession = 950.0

    /// Bytes of the worker's private memory that one more logged-in session takes, TLS aside.
    static let privateMemoryPerIdleSession = 1_000.0
}
