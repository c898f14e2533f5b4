import CLinux
import COpenSSL

/// TLS on one non-blocking socket, which stays the caller's: it is neither watched nor closed here. Nothing is
/// allocated by a call that goes well.
public final class TLSConnection {
    let ssl: OpaquePointer
    let context: TLSContext
    @exclusivity(unchecked) var transport: TLSTransport
    /// What is known of the peer; nil where nobody asks. Apart, as most clients' connections have no use for it, and are
    /// kept for hours.
    private let peerFacts: PeerFacts?
    /// Bytes of the caller's that are in records which wait to be taken.
    private var held: Int32 = 0
    private var isBroken = false
    private var hasSaidGoodbye = false
    private let staysOnThread: Bool

    private final class PeerFacts {
        let name: PeerName?
        let sessions: TLSSessions?
        var refusal: TLSError?

        init(_ name: PeerName?, _ sessions: TLSSessions?) {
            self.name = name
            self.sessions = sessions
        }
    }

    var name: PeerName? { peerFacts?.name }
    var sessions: TLSSessions? { peerFacts?.sessions }
    /// What the check of the peer's certificate came to; its fault once it was refused.
    var refusal: TLSError? {
        get { peerFacts?.refusal }
        set { peerFacts?.refusal = newValue }
    }

    /// Prepares TLS on a connected descriptor; `handshake()` starts it. The context says which side this is.
    /// - Parameters:
    ///   - context: keys and policy.
    ///   - descriptor: non-blocking, and open as long as this object is used.
    ///   - serverName: name or address of the real server that its certificate must hold (see `ssl_no_cn_verify`), and
    ///     that a server of several names chooses by; nil for no check. Of no meaning on a server's side.
    ///   - sessions: of the same loop, to resume from; nil for a full handshake each time.
    ///   - port: tells sessions of servers with one name apart.
    ///   - outlet: takes what is to be sent; nil for the descriptor.
    ///   - staysOnThread: whether one thread alone will ever use it, so that it can share with the thread's others.
    /// - Throws: `TLSError` when memory is short.
    public init(
        _ context: TLSContext, descriptor: Int32, serverName: String? = nil, sessions: TLSSessions? = nil,
        port: UInt16 = 0, outlet: (any TLSOutlet)? = nil, staysOnThread: Bool = false
    ) throws(TLSError) {
        ERR_clear_error()
        guard let ssl = SSL_new(context.handle) else { throw TLSError(.lost, "out of memory") }
        self.ssl = ssl
        transport = TLSTransport(descriptor, outlet: outlet)
        self.context = context
        self.staysOnThread = staysOnThread
        switch context.role {
        case .server:
            peerFacts = context.verifies ? PeerFacts(nil, nil) : nil
            SSL_set_accept_state(ssl)
        case .client:
            let name = serverName.map { PeerName($0, port: port) }
            peerFacts = PeerFacts(name, name == nil ? nil : sessions)
            SSL_set_connect_state(ssl)
        }
        guard Self.connect(ssl) else { throw TLSError(.lost, "out of memory") }
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
        attach()
        let code = SSL_do_handshake(ssl)
        guard code == 1 else { return result(code) }
        if let error = checkPeer() {
            isBroken = true
            if let name { sessions?.forget(name) }
            return .failed(error)
        }
        openssl_drop_chain(ssl)
        openssl_drop_handshake(ssl)
        // Not before: a handshake would take, wipe and give back its buffers for each of its messages.
        openssl_release_buffers(ssl)
        if staysOnThread { shareTransport() }
        return .done(0)
    }

    /// Whether the last attempt has read all there was, so that the next edge is the first to bring more.
    public var isDrained: Bool { transport.isDrained }

    /// Spares attempts to read that would bring nothing; without it they are made.
    /// - Parameters:
    ///   - readable: whether a loop that watches the descriptor edge-triggered has seen it become readable since it was last
    ///     drained.
    ///   - isEnding: whether the peer has closed its direction, behind which comes no edge any more.
    public func expect(readable: Bool, isEnding: Bool) {
        transport.expect(readable: readable, isEnding: isEnding)
    }

    /// Reads what there is, a record at most. Read until `.wantRead` before waiting for the socket: what was taken from it
    /// already, decrypted or not, raises no further edge.
    public func read(into buffer: UnsafeMutableRawBufferPointer) -> TLSResult {
        guard !isBroken else { return .closed }
        guard buffer.count > 0 else { return .done(0) }
        ERR_clear_error()
        attach()
        var count = 0
        let code = SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
        return code == 1 ? .done(count) : result(code)
    }

    /// Writes the first part of `bytes`, a record at most, or as many as there is room for. What was not written, with
    /// `.wantWrite` all of it, is to be given again first: it may have moved in memory and been added to, but not be fewer.
    /// - Parameters:
    ///   - more: whether more, or the end, follows at once and may share a segment.
    ///   - room: memory lent for records that leave together; at least ``roomForRecord`` bytes to be of use.
    public func write(
        _ bytes: UnsafeRawBufferPointer, more: Bool = false, room: UnsafeMutableRawBufferPointer? = nil
    ) -> TLSResult {
        guard !isBroken else { return .closed }
        guard bytes.count > 0 else { return .done(0) }
        attach()
        transport.hasMore = more
        if transport.isWaiting { return flush() }
        if let room, bytes.count > Self.recordSize, room.count >= Self.roomForRecord { return write(bytes, by: room) }
        ERR_clear_error()
        var count = 0
        let code = SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count)
        return code == 1 ? .done(count) : result(code)
    }

    /// Bytes of a record (RFC 8446 section 5.1).
    private static let recordSize = 16_384
    /// Bytes that any version's record of that size has room in.
    public static let roomForRecord = recordSize + 2_560

    private func write(_ bytes: UnsafeRawBufferPointer, by room: UnsafeMutableRawBufferPointer) -> TLSResult {
        var batch = TLSTransport.Batch(room: room)
        return withUnsafeMutablePointer(to: &batch) { write(bytes, by: $0) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, by batch: UnsafeMutablePointer<TLSTransport.Batch>) -> TLSResult
    {
        transport.open(batch)
        var written = 0
        var failure: TLSResult?
        while written < bytes.count, batch.pointee.hasRoom(for: Self.roomForRecord) {
            ERR_clear_error()
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            var count = 0
            let code = SSL_write_ex(ssl, rest.baseAddress, rest.count, &count)
            guard code == 1 else {
                failure = result(code)
                break
            }
            written += count
            batch.pointee.mark(written)
        }
        let taken = transport.close()
        if written == 0, let failure { return failure }
        guard taken < batch.pointee.used else { return .done(written) }
        let sent = batch.pointee.written(in: taken)
        held = Int32(clamping: written - sent)
        return sent > 0 ? .done(sent) : flush()
    }

    private func flush() -> TLSResult {
        switch transport.flush() {
        case true?:
            defer { held = 0 }
            return .done(Int(held))
        case false?: return .wantWrite
        case nil:
            isBroken = true
            return .failed(TLSError(.lost, systemText(linux_errno())))
        }
    }

    /// Tells the peer that nothing more will be written; reading goes on. Does not wait for the peer's goodbye.
    ///
    /// The connection's end is to follow at once: both may share a segment.
    public func shutdown() -> TLSResult {
        guard !isBroken, !hasSaidGoodbye, SSL_is_init_finished(ssl) == 1 else { return .done(0) }
        transport.hasMore = true
        // Behind half of a record nobody would understand it.
        if transport.isWaiting {
            let rest = flush()
            guard case .done = rest else { return rest }
        }
        ERR_clear_error()
        attach()
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
