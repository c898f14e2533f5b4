import CLinux
import COpenSSL
import Glibc

extension TLSContextBuilder {
    /// The certificate with its chain, the key, and the parameters of Diffie and Hellman.
    func loadCertificate(_ options: ServerTLSOptions) throws(TLSError) {
        let certificates = try PEMFile(options.certificateFile, option: "ssl_cert_file")
        try certificates.withReader { (reader) throws(TLSError) in
            try useCertificates(reader, path: options.certificateFile)
        }
        let key = try PEMFile(options.keyFile, option: "ssl_key_file")
        try key.withReader { (reader) throws(TLSError) in try useKey(reader, options) }
        try loadParameters(options, certificates)
    }

    private func useCertificates(_ reader: OpaquePointer, path: String) throws(TLSError) {
        let option = "ssl_cert_file"
        guard let own = PEM_read_bio_X509_AUX(reader, nil, nil, nil) else {
            throw .option(option, path, "no certificate in PEM form in it: \(OpenSSLFault.text())")
        }
        defer { X509_free(own) }
        guard SSL_CTX_use_certificate(handle, own) == 1 else {
            throw .option(option, path, "OpenSSL refuses the certificate: \(OpenSSLFault.text())")
        }
        while let next = PEM_read_bio_X509(reader, nil, nil, nil) {
            guard openssl_add_chain_certificate(handle, next) == 1 else {
                X509_free(next)
                throw .option(option, path, "OpenSSL refuses a certificate of the chain: \(OpenSSLFault.text())")
            }
            hasChain = true
        }
        // Anything but "no further certificate" is a damaged one.
        guard OpenSSLFault.lastReason() == PEM_R_NO_START_LINE else {
            throw .option(option, path, "a certificate of the chain cannot be read: \(OpenSSLFault.text())")
        }
        ERR_clear_error()
    }

    private func useKey(_ reader: OpaquePointer, _ options: ServerTLSOptions) throws(TLSError) {
        let request = PassphraseRequest(options.passphrase)
        let unmanaged = Unmanaged.passUnretained(request)
        let key = withExtendedLifetime(request) {
            PEM_read_bio_PrivateKey(reader, nil, passphraseCallback, unmanaged.toOpaque())
        }
        if let error = request.error {
            EVP_PKEY_free(key)
            throw Passphrase.missing(options.keyFile, error)
        }
        guard let key else {
            let fault =
                request.wasAsked
                ? "the passphrase from \(options.passphrase) does not open the key: put the right one into its first line"
                : "no private key in PEM form in it: \(OpenSSLFault.text())"
            throw .option("ssl_key_file", options.keyFile, fault)
        }
        defer { EVP_PKEY_free(key) }
        guard SSL_CTX_use_PrivateKey(handle, key) == 1, SSL_CTX_check_private_key(handle) == 1 else {
            let certificate = "the certificate in --ssl_cert_file \(printable(options.certificateFile))"
            throw .option(
                "ssl_key_file", options.keyFile, "the key does not fit \(certificate): \(OpenSSLFault.text())")
        }
    }

    private func loadParameters(_ options: ServerTLSOptions, _ certificates: PEMFile) throws(TLSError) {
        guard options.dhParametersFile.isEmpty else {
            let option = "ssl_dh_params_file"
            let path = options.dhParametersFile
            let file = try PEMFile(path, option: option)
            guard let parameters = file.parameters() else {
                throw .option(option, path, "no DH parameters in PEM form in it: \(OpenSSLFault.text())")
            }
            guard useParameters(parameters) else {
                throw .option(option, path, "OpenSSL refuses the DH parameters: \(OpenSSLFault.text())")
            }
            return
        }
        if let parameters = certificates.parameters() {
            if useParameters(parameters) { return }
            let fault = "OpenSSL refuses the DH parameters in it (\(OpenSSLFault.text())) and uses its own"
            warnings.append("--ssl_cert_file \(printable(options.certificateFile)): \(fault)")
        }
        ERR_clear_error()
        openssl_set_dh_auto(handle)
    }

    private func useParameters(_ parameters: OpaquePointer) -> Bool {
        if SSL_CTX_set0_tmp_dh_pkey(handle, parameters) == 1 { return true }
        EVP_PKEY_free(parameters)
        return false
    }

    /// The authorities the peer's certificate is checked against.
    /// - Parameter warns: whether to say so when there are none.
    func loadTrust(_ trust: TLSTrust, warns: Bool) throws(TLSError) {
        policy += Array("\(trust)".utf8)
        // One more than wanted, so that the check sees the certificate that is too far up, and can say so.
        SSL_CTX_set_verify_depth(handle, Int32(min(max(trust.verifyDepth, 0), 98) + 1))
        if !trust.caFile.isEmpty { try loadAuthorities(trust.caFile, option: "ssl_ca_file") }
        guard !trust.caPath.isEmpty else { return }
        SSL_CTX_load_verify_dir(handle, trust.caPath)
        if warns, trust.caFile.isEmpty, access(trust.caPath, R_OK | X_OK) != 0 {
            let fault = "\(systemText(linux_errno())); there is no authority to verify a certificate with"
            warnings.append("--ssl_ca_path \(printable(trust.caPath)): \(fault)")
        }
    }

    /// Every certificate of the file becomes an authority.
    func loadAuthorities(_ path: String, option: String) throws(TLSError) {
        // Also for the system's reason, if there is one.
        policy += try PEMFile(path, option: option).copy()
        ERR_clear_error()
        guard SSL_CTX_load_verify_file(handle, path) == 1 else {
            throw .option(option, path, "no certificate in PEM form in it: \(OpenSSLFault.text())")
        }
    }

    /// Completes the own chain from the authorities now, if the certificate came without one: else OpenSSL would search
    /// them in each handshake. It is not an error if they know nothing of it.
    func buildChain() {
        openssl_set_mode(handle, Int(SSL_MODE_NO_AUTO_CHAIN))
        guard !hasChain else { return }
        _ = openssl_build_chain(handle, SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR)
        ERR_clear_error()
    }
}

extension PEMFile {
    /// DH parameters, if there are some; the caller frees them.
    fileprivate func parameters() -> OpaquePointer? {
        try? withReader { (reader) throws(TLSError) in
            guard let found = PEM_read_bio_Parameters(reader, nil) else { return nil }
            // The second is the form that `openssl dhparam -dsaparam` writes.
            if EVP_PKEY_is_a(found, "DH") == 1 || EVP_PKEY_is_a(found, "DHX") == 1 { return found }
            EVP_PKEY_free(found)
            return nil
        }
    }
}

/// What the key's reader needs to ask for a passphrase, and learns in doing so.
private final class PassphraseRequest {
    private let source: PassphraseSource
    private var passphrase: Passphrase?
    private(set) var error: TLSError?
    private(set) var wasAsked = false

    init(_ source: PassphraseSource) {
        self.source = source
    }

    /// OpenSSL may ask more than once, as it tries one format after the other; a descriptor has only one first line.
    func copy(to buffer: UnsafeMutableRawBufferPointer) -> Int32 {
        wasAsked = true
        do {
            if passphrase == nil { passphrase = try Passphrase(source) }
            return passphrase?.copy(to: buffer) ?? -1
        } catch {
            self.error = error
            return -1
        }
    }
}

private func passphraseCallback(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int32, _ isForWriting: Int32, _ data: UnsafeMutableRawPointer?
) -> Int32 {
    guard let buffer, let data, size > 0 else { return -1 }
    let request = Unmanaged<PassphraseRequest>.fromOpaque(data).takeUnretainedValue()
    return request.copy(to: UnsafeMutableRawBufferPointer(start: buffer, count: Int(size)))
}
