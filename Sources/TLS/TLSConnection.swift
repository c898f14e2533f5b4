import CLinux
import COpenSSL

/// TLS on one non-blocking socket, which stays the caller's: it is neither watched nor closed here. Nothing is
/// allocated by a call that goes well. The process ignores SIGPIPE, as OpenSSL writes with write(2).
public final class TLSConnection {
    let ssl: OpaquePointer
    let context: TLSContext
    let name: PeerName?
    let sessions: TLSSessions?
    /// What the check of the peer's certificate came to; its fault once it was refused.
    var refusal: TLSError?
    private var isBroken = false
    private var hasSaidGoodbye = false

    /// Prepares TLS on a connected descriptor; `handshake()` starts it. The context says which side this is.
    /// - Parameters:
    ///   - context: keys and policy.
    ///   - descriptor: non-blocking, and open as long as this object is used.
    ///   - serverName: name or address of the real server that its certificate must hold (see `ssl_no_cn_verify`), and
    ///     that a server of several names chooses by; nil for no check. Of no meaning on a server's side.
    ///   - sessions: of the same loop, to resume from; nil for a full handshake each time.
    ///   - port: tells sessions of servers with one name apart.
    /// - Throws: `TLSError` when memory is short.
    public init(
        _ context: TLSContext, descriptor: Int32, serverName: String? = nil, sessions: TLSSessions? = nil,
        port: UInt16 = 0
    ) throws(TLSError) {
        ERR_clear_error()
        guard let ssl = SSL_new(context.handle) else { throw TLSError(.lost, "out of memory") }
        guard SSL_set_fd(ssl, descriptor) == 1 else {
            SSL_free(ssl)
            throw TLSError(.lost, "out of memory")
        }
        self.ssl = ssl
        self.context = context
        switch context.role {
        case .server:
            name = nil
            self.sessions = nil
            SSL_set_accept_state(ssl)
        case .client:
            name = serverName.map { PeerName($0, port: port) }
            self.sessions = name == nil ? nil : sessions
            SSL_set_connect_state(ssl)
        }
        if let indication = name?.indication { _ = openssl_set_server_name(ssl, indication) }
        if let name, let session = self.sessions?.session(for: name, context) { SSL_set_session(ssl, session) }
        if context.verifies || self.sessions != nil {
            // The callbacks find their connection by this; it lives as long as its SSL does.
            SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        }
    }

    deinit {
        // Else OpenSSL takes a connection without goodbyes for an attack, and its session for spoilt.
        if !isBroken { SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
        SSL_free(ssl)
    }

    /// Takes the handshake as far as it goes now. Call again after `.wantRead` and `.wantWrite` until `.done`.
    public func handshake() -> TLSResult {
        guard !isBroken else { return .closed }
        ERR_clear_error()
        let code = SSL_do_handshake(ssl)
        guard code == 1 else { return result(code) }
        if let error = checkPeer() {
            isBroken = true
            if let name { sessions?.forget(name) }
            return .failed(error)
        }
        openssl_drop_chain(ssl)
        // Not before: a handshake would take, wipe and give back its buffers for each of its messages.
        openssl_release_buffers(ssl)
        return .done(0)
    }

    /// Reads what there is, a record at most. Read until `.wantRead` before waiting for the socket: what was taken from it
    /// already, decrypted or not, raises no further edge.
    public func read(into buffer: UnsafeMutableRawBufferPointer) -> TLSResult {
        guard !isBroken else { return .closed }
        guard buffer.count > 0 else { return .done(0) }
        ERR_clear_error()
        var count = 0
        let code = SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
        return code == 1 ? .done(count) : result(code)
    }

    /// Writes the first part of `bytes`, a record at most. After `.wantWrite`, call again with the same bytes, which may
    /// have moved in memory and been added to, but not be fewer.
    public func write(_ bytes: UnsafeRawBufferPointer) -> TLSResult {
        guard !isBroken else { return .closed }
        guard bytes.count > 0 else { return .done(0) }
        ERR_clear_error()
        var count = 0
        let code = SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count)
        return code == 1 ? .done(count) : result(code)
    }

    /// Tells the peer that nothing more will be written; reading goes on. Does not wait for the peer's goodbye.
    public func shutdown() -> TLSResult {
        guard !isBroken, !hasSaidGoodbye, SSL_is_init_finished(ssl) == 1 else { return .done(0) }
        ERR_clear_error()
        let code = SSL_shutdown(ssl)
        guard code >= 0 else { return result(code) }
        hasSaidGoodbye = true
        return .done(0)
    }

    /// How many decrypted bytes wait. None does not mean that the next read finds nothing.
    public var pendingBytes: Int { Int(SSL_pending(ssl)) }

    private func result(_ code: Int32) -> TLSResult {
        let systemError = linux_errno()
        switch SSL_get_error(ssl, code) {
        case SSL_ERROR_WANT_READ: return .wantRead
        case SSL_ERROR_WANT_WRITE: return .wantWrite
        case SSL_ERROR_ZERO_RETURN: return .closed
        case SSL_ERROR_SYSCALL:
            isBroken = true
            return systemError == 0 ? .closed : .failed(TLSError(.lost, systemText(systemError)))
        default:
            isBroken = true
            if let refusal {
                ERR_clear_error()
                return .failed(refusal)
            }
            return .failed(TLSError(.handshake, "TLS with \(peer) failed: \(OpenSSLFault.text())"))
        }
    }

    /// The other side, in a sentence.
    var peer: String {
        switch context.role {
        case .server: "the client"
        case .client: "the real server"
        }
    }
}
