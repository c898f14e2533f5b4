import COpenSSL

/// OpenSSL asks about each certificate of a chain, and about each fault in it.
func verifyCallback(_ isGood: Int32, _ store: OpaquePointer?) -> Int32 {
    guard let store,
        let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let connection = SSL_get_ex_data(OpaquePointer(ssl), 0)
    else { return 0 }
    return Unmanaged<TLSConnection>.fromOpaque(connection).takeUnretainedValue().judge(isGood == 1, store) ? 1 : 0
}

extension TLSConnection {
    fileprivate func judge(_ isGood: Bool, _ store: OpaquePointer) -> Bool {
        let depth = Int(X509_STORE_CTX_get_error_depth(store))
        // OpenSSL does not count the authority at the end of the chain; the option does.
        if depth > context.trust.verifyDepth {
            X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_CHAIN_TOO_LONG)
            let limit = "--ssl_cert_verify_depth \(context.trust.verifyDepth)"
            refuse(store, "stands at place \(depth) of its chain; \(limit) allows none above its own")
            return false
        }
        if isGood { return true }
        let fault = X509_STORE_CTX_get_error(store)
        let excuse = context.trust.excuse(for: fault)
        // The fault stays noted as the result of the check: a resumed session has it from there.
        if let excuse, excuse.isOn { return true }
        let words = String(cString: X509_verify_cert_error_string(Int(fault)))
        let remedy = excuse?.option ?? remedyForAnything
        refuse(store, "was refused: \(printable(words)); --\(remedy) would accept it")
        return false
    }

    private var remedyForAnything: String {
        switch context.role {
        case .server: "ssl_no_client_cert_verify"
        case .client: "ssl_no_cert_verify"
        }
    }

    private func refuse(_ store: OpaquePointer, _ fault: String) {
        let subject = X509_STORE_CTX_get_current_cert(store).map { CertificateFacts($0).subject } ?? "unknown"
        refusal = TLSError(.certificate, "certificate \(subject) in the chain of \(peer) \(fault)")
    }

    /// After the handshake: whether the certificate is there and for the right name. Nil if all is well.
    func checkPeer() -> TLSError? {
        let certificate = SSL_get0_peer_certificate(ssl)
        guard case .client(verifiesName: true) = context.role, let name else { return nil }
        guard let certificate else {
            let fault = "the real server \(name) has shown no certificate"
            return TLSError(.name, "\(fault); --ssl_no_cn_verify would accept that")
        }
        if CertificateNames(certificate).match(name) { return nil }
        let fault = "certificate \(CertificateFacts(certificate).subject) of the real server is not for \(name)"
        return TLSError(.name, "\(fault); --ssl_no_cn_verify would accept it")
    }
}
