import COpenSSL

/// The last session with each real server, so that the next connection saves both sides most of the handshake's work
/// and shares the server's certificates in memory. Of one loop, and for one client context.
public final class TLSSessions {
    private let context: TLSContext
    private let limit: Int
    private var sessions: [PeerName: OpaquePointer] = [:]

    /// An empty store for one client context.
    /// - Parameter limit: how many servers; beyond it an arbitrary one is forgotten.
    public init(_ context: TLSContext, limit: Int = 1000) {
        self.context = context
        self.limit = max(limit, 1)
    }

    deinit {
        for session in sessions.values { SSL_SESSION_free(session) }
    }

    /// How many servers have one.
    public var count: Int { sessions.count }

    func session(for name: PeerName, _ context: TLSContext) -> OpaquePointer? {
        // A session agreed under another policy must not be believed under this one.
        guard context === self.context, let session = sessions[name] else { return nil }
        if SSL_SESSION_is_resumable(session) == 1 { return session }
        forget(name)
        return nil
    }

    func forget(_ name: PeerName) {
        if let session = sessions.removeValue(forKey: name) { SSL_SESSION_free(session) }
    }

    /// Takes over one reference to the session.
    fileprivate func keep(_ session: OpaquePointer, for name: PeerName) {
        forget(name)
        if sessions.count >= limit, let victim = sessions.first?.key { forget(victim) }
        sessions[name] = session
    }
}

/// OpenSSL hands over a session that can be resumed: in TLS 1.3 some time after the handshake.
/// - Returns: 1 if the reference is kept.
func newSessionCallback(_ ssl: OpaquePointer?, _ session: OpaquePointer?) -> Int32 {
    guard let ssl, let session, let data = SSL_get_ex_data(ssl, 0) else { return 0 }
    let connection = Unmanaged<TLSConnection>.fromOpaque(data).takeUnretainedValue()
    guard let sessions = connection.sessions, let name = connection.name, connection.refusal == nil else { return 0 }
    sessions.keep(session, for: name)
    return 1
}
