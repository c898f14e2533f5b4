import COpenSSL

extension TLSConnection {
    /// The version agreed on, `TLSv1.3` for one.
    public var version: String {
        guard let text = SSL_get_version(ssl) else { return "unknown" }
        return String(cString: text)
    }

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
