import COpenSSL

extension TLSConnection {
    /// The version agreed on, `TLSv1.3` for one.
    public var version: String {
        guard let text = SSL_get_version(ssl) else { return "unknown" }
        return String(cString: text)
    }

    /// The number of the version agreed on, as it stands on the wire (RFC 8446 section 4.1.2): 0x0304 for TLS 1.3.
    public var versionNumber: Int { Int(SSL_version(ssl)) }

    /// OpenSSL's name of the cipher agreed on; nil before the handshake.
    public var cipher: String? {
        guard let cipher = SSL_get_current_cipher(ssl), let text = SSL_CIPHER_get_name(cipher) else { return nil }
        return String(cString: text)
    }

    /// What is known of the peer's certificate after the handshake.
    public var peerVerification: PeerVerification {
        guard context.verifies else { return .notAsked }
        guard SSL_get0_peer_certificate(ssl) != nil else { return .noCertificate }
        return SSL_get_verify_result(ssl) == Int(X509_V_OK) ? .verified : .excused
    }

    /// Whether the handshake went on from an earlier session.
    public var isResumed: Bool { SSL_session_reused(ssl) == 1 }
}
