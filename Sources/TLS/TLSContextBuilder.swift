import CLinux
import COpenSSL

/// Sets up one `SSL_CTX`, step by step, each step naming the option it stands for when it fails.
final class TLSContextBuilder {
    let handle: OpaquePointer
    var warnings: [String] = []
    /// Whether the certificate file holds more than the own certificate.
    var hasChain = false
    /// Who is believed, in whatever form: equal for equal rules.
    var policy: [UInt8] = []

    init(_ method: OpaquePointer?) throws(TLSError) {
        ERR_clear_error()
        guard let handle = SSL_CTX_new(method) else {
            throw TLSError(.option, "OpenSSL does not start: \(OpenSSLFault.text())")
        }
        self.handle = handle
    }

    deinit {
        SSL_CTX_free(handle)
    }

    /// - Parameter wipes: whether OpenSSL clears what it has decrypted once that is read: passwords come from clients.
    func setModes(wipes: Bool) {
        // Auto-retry stays on: without it a read that only met a session ticket would ask for an edge that never comes,
        // because what followed is in the socket's buffer already.
        let modes = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY
        openssl_set_mode(handle, Int(modes))
        // One read(2) a record instead of two. The buffer goes back when all of it is used, so an idle session pays nothing:
        // see `TLSConnection.handshake()`.
        openssl_set_read_ahead(handle)
        // Mail programs drop connections without close_notify; and POP3 and IMAP say themselves where data ends.
        SSL_CTX_set_options(handle, openssl_OP_NO_RENEGOTIATION | openssl_OP_IGNORE_UNEXPECTED_EOF)
        // The buffer goes back to the allocator as it is, and stays that until somebody else writes there.
        if wipes { SSL_CTX_set_options(handle, openssl_OP_CLEANSE_PLAINTEXT) }
    }

    func setCompression(_ isAllowed: Bool, option: String) {
        guard isAllowed else {
            SSL_CTX_set_options(handle, openssl_OP_NO_COMPRESSION)
            return
        }
        SSL_CTX_clear_options(handle, openssl_OP_NO_COMPRESSION)
        if openssl_compression_methods() == 0 {
            warnings.append("--\(option): the system's OpenSSL has no compression, so there will be none")
        }
    }

    func setServerPreference(_ isOn: Bool) {
        guard isOn else { return }
        // Of its preference the server lets go for one case: a client that puts ChaCha20 first has no AES in hardware.
        SSL_CTX_set_options(handle, openssl_OP_CIPHER_SERVER_PREFERENCE | openssl_OP_PRIORITIZE_CHACHA)
    }

    /// The suites of TLS 1.3 in the order of the server's preference; a list of the administrator's replaces it.
    func setSuites() {
        // The hashes of the key schedule are a quarter of a handshake, and SHA-256 is the cheaper one. Neither
        // it nor AES-128 is known to be weaker in any way that matters (RFC 8446 section 9.1 makes this one mandatory).
        _ = SSL_CTX_set_ciphersuites(
            handle, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")
    }

    /// - Parameter direction: `listen` or `outgoing`, as in the options' names.
    func setVersions(_ minimum: String, _ maximum: String, direction: String) throws(TLSError) {
        let low = "ssl_\(direction)_min_proto_version"
        let high = "ssl_\(direction)_max_proto_version"
        let lowest = try TLSVersion.parse(minimum, option: low)
        guard openssl_set_min_version(handle, lowest.number) == 1 else {
            throw .option(low, minimum, "the system's OpenSSL does not have this version")
        }
        guard !maximum.isEmpty else { return }
        let highest = try TLSVersion.parse(maximum, option: high)
        guard highest.number >= lowest.number else {
            throw .option(high, maximum, "lower than --\(low) \(printable(minimum))")
        }
        guard openssl_set_max_version(handle, highest.number) == 1 else {
            throw .option(high, maximum, "the system's OpenSSL does not have this version")
        }
    }

    func setCiphers(_ text: String, option: String) throws(TLSError) {
        guard !text.isEmpty else { return }
        let list = CipherList(text)
        ERR_clear_error()
        if !list.suites.isEmpty {
            guard SSL_CTX_set_ciphersuites(handle, list.suites.joined(separator: ":")) == 1 else {
                throw .option(option, text, "it names a TLS 1.3 suite that OpenSSL does not know")
            }
        }
        if !list.older.isEmpty {
            guard SSL_CTX_set_cipher_list(handle, list.older.joined(separator: ":")) == 1 else {
                throw .option(option, text, "no cipher is left: \(OpenSSLFault.text())")
            }
        }
        guard !list.older.isEmpty || !list.suites.isEmpty else {
            throw .option(option, text, "no cipher in it")
        }
        let unknown = list.names.filter { !isKnown($0) }
        if !unknown.isEmpty {
            let names = unknown.map { printable($0) }.joined(separator: ", ")
            warnings.append("--\(option): unknown to the system's OpenSSL, and left out: \(names)")
        }
    }

    // A list of the original may hold names of ciphers that are gone: OpenSSL passes over them, and so does this.
    private func isKnown(_ name: String) -> Bool {
        guard let probe = SSL_CTX_new(TLS_method()) else { return true }
        defer {
            SSL_CTX_free(probe)
            ERR_clear_error()
        }
        return SSL_CTX_set_cipher_list(probe, "\(name):@SECLEVEL=0") == 1
    }

    /// - Parameters:
    ///   - verifies: whether clients are checked against what was loaded.
    ///   - sendsTickets: whether clients can go on with a session later.
    func setServerSessions(verifies: Bool, sendsTickets: Bool) {
        // Tickets hold the session at the client's; a cache here would hold it a second time, for every client.
        openssl_set_session_cache_mode(handle, Int(SSL_SESS_CACHE_OFF))
        // One ticket will do, as a ticket may be used again; two is for browsers.
        SSL_CTX_set_num_tickets(handle, sendsTickets ? 1 : 0)
        // Else TLS 1.2 would send one still, and TLS 1.3 take one from before.
        if !sendsTickets { SSL_CTX_set_options(handle, openssl_OP_NO_TICKET) }
        // Tickets outlive a reload. One of a client that other rules let in must not spare it these.
        var name = [UInt8](repeating: 0, count: 32)
        let rules = verifies ? policy : []
        SHA256(rules, rules.count, &name)
        SSL_CTX_set_session_id_context(handle, name, UInt32(name.count))
    }

    func setClientSessions() {
        // OpenSSL's own cache cannot be asked by server name: `TLSSessions` keeps them.
        openssl_set_session_cache_mode(handle, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
        SSL_CTX_sess_set_new_cb(handle, newSessionCallback)
    }
}
