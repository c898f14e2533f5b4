/// What the programs may cost, counted and not timed; a number here goes up only with a reason.
enum Budgets {
    /// Calls of malloc and its relatives in the worker for one session: connect, log in, log out, close.
    static func allocationsPerLogin(_ flavour: Flavour) -> Double {
        switch flavour {
        case .imap4: 55
        case .pop3: 51
        }
    }

    /// Bytes those calls ask for.
    static let bytesAllocatedPerLogin = 13_200.0

    /// System calls of the worker for one session alone, waiting for events left out: those depend on who is faster.
    static func systemCallsPerLogin(_ flavour: Flavour, usesRing: Bool) -> Double {
        switch (flavour, usesRing) {
        case (.imap4, true): 16
        case (.pop3, true): 18
        case (.imap4, false): 26
        case (.pop3, false): 30
        }
    }

    /// Times the worker's threads go to sleep for one session alone.
    static func waitsPerLogin(_ flavour: Flavour) -> Double {
        switch flavour {
        case .imap4: 7
        case .pop3: 9
        }
    }

    /// Bytes of the worker's heap that one logged-in session holds, TLS aside.
    static let heapPerIdleSession = 900.0

    /// Bytes of the worker's private memory that one more logged-in session takes, TLS aside.
    static let privateMemoryPerIdleSession = 1_000.0

    /// Bytes of the worker's heap that one logged-in session holds with TLS 1.3 to the client.
    static let heapPerIdleTLSSession = 14_300.0

    /// The same of the worker's private memory: nearly all of it is OpenSSL's, and how well that packs differs by 600 bytes
    /// from run to run.
    static let privateMemoryPerIdleTLSSession = 15_800.0
}
