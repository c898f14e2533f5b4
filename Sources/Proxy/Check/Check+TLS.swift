import Glibc
import Loop
import TLS

/// Keys, certificates, policies.
extension Check {
    mutating func checkTLS() {
        let mode = options.everySSLMode
        if !mode.isDisjoint(with: [.sslListen, .tlsListen]) { checkListenTLS() }
        if !mode.isDisjoint(with: [.sslOutgoing, .tlsOutgoing]) {
            do throws(TLSError) {
                for warning in try TLSContexts.outgoing(options)?.warnings ?? [] { note(warning) }
            } catch {
                note(error)
            }
        }
    }

    mutating func checkListenTLS() {
        // All of them at once; a context ends with the first that cannot be read.
        let files = [
            ("ssl_cert_file", options.sslCertFile), ("ssl_key_file", options.sslKeyFile),
            ("ssl_passphrase_file", options.sslPassphraseFile), ("ssl_dh_params_file", options.sslDhParamsFile),
            ("ssl_ca_chain_file", options.sslCaChainFile), ("ssl_ca_file", options.sslCaFile),
        ]
        var canBeRead = true
        for (option, path) in files where !path.isEmpty && access(path, R_OK) != 0 {
            canBeRead = false
            rootsError(option, "--\(option) \(path): \(Errno.last): name a file that can be read")
        }
        guard canBeRead else { return }
        let needsPassphrase = KeyPassphrase.isNeeded(options)
        guard !needsPassphrase || isatty(Int32(clamping: options.sslPassphraseFd)) == 0 else {
            return warning(
                "ssl_key_file",
                "--ssl_key_file \(options.sslKeyFile): the key is encrypted and was not opened: "
                    + "give its passphrase in --ssl_passphrase_file, or on descriptor \(options.sslPassphraseFd)")
        }
        do throws(TLSError) {
            let passphrase = try KeyPassphrase.read(options).flatMap { KeyPassphrase.descriptor($0) }
            defer { if let passphrase { close(passphrase) } }
            guard let context = try TLSContexts.listen(options, passphrase: passphrase) else { return }
            for warning in context.warnings { note(warning) }
            check(context.certificates, now: time(nil))
        } catch {
            note(error)
        }
    }

    mutating func check(_ certificates: [CertificateFacts], now: Int) {
        for certificate in certificates {
            let option = "ssl_cert_file"
            let what = "--\(option) \(options.sslCertFile): the certificate \(certificate.subject)"
            let left = certificate.notAfter - now
            if left < 0 {
                error(option, "\(what) has expired on \(Calendar.text(certificate.notAfter)): renew it")
            } else if certificate.notBefore > now {
                error(
                    option, "\(what) is valid from \(Calendar.text(certificate.notBefore)) on only: is the clock right?"
                )
            } else if left < Self.certificateDays * Calendar.day {
                let days = left / Calendar.day
                warning(
                    option,
                    "\(what) expires on \(Calendar.text(certificate.notAfter)), in \(days) day\(days == 1 ? "" : "s"): renew it"
                )
            }
        }
    }

    /// An error of TLS begins with the name of its option.
    private mutating func note(_ error: TLSError) {
        self.error(Self.option(in: error.description), error.description)
    }

    private mutating func note(_ warning: String) {
        self.warning(Self.option(in: warning), warning)
    }

    /// The first option that a sentence names.
    static func option(in sentence: String) -> String {
        let word = sentence.split(separator: " ").first { $0.hasPrefix("--") } ?? ""
        return String(word.dropFirst(2).prefix { $0.isLetter || $0 == "_" })
    }
}
