internal import Daemon

extension Options {
    /// Looks at what several options say together, and settles what they leave open.
    ///
    /// `source` gives, for an option's name, the place in the file that set it, or nothing.
    mutating func finish(source: (String) -> String) throws(OptionError) {
        if sslMode.isEmpty, protocolName == .pop3s || protocolName == .imap4s { sslMode = .sslAll }
        if sslMode.contradictsItself { throw OptionError("\(source("ssl_mode"))invalid ssl_mode combination") }
        if sslPassphraseFd != 0, !sslPassphraseFile.isEmpty {
            throw OptionError("Only one of ssl_passphrase_fd and ssl_passphrase_file may be specified")
        }
        try checkVersions("listen", sslListenMinProtoVersion, sslListenMaxProtoVersion)
        try checkVersions("outgoing", sslOutgoingMinProtoVersion, sslOutgoingMaxProtoVersion)
        if let pidFile, !pidFile.isEmpty, !pidFile.hasPrefix("/") {
            throw OptionError("\(source("pid_file"))Invalid pid file: \"\(pidFile)\"")
        }
        if authenticateIn, let token = saslMechanisms.first(where: \.isToken) {
            throw OptionError(
                "\(source("sasl_mechanisms"))--sasl_mechanisms \(token.rawValue) and --authenticate_in contradict each "
                    + "other: PAM checks passwords, and a token is none; leave out one of them")
        }
        do throws(MapList.Failure) {
            _ = try MapList(self)
        } catch {
            throw OptionError("\(source(error.option))--\(error.option)\(error)")
        }
        do {
            _ = try LogDestination(logFacility)
        } catch {
            throw OptionError("\(source("log_facility"))\(error)")
        }
    }

    private func checkVersions(_ side: String, _ oldest: TLSVersion, _ newest: TLSVersion?) throws(OptionError) {
        guard let newest, newest < oldest else { return }
        throw OptionError(
            "ssl_\(side)_max_proto_version \(newest.rawValue) is older than ssl_\(side)_min_proto_version "
                + oldest.rawValue)
    }
}
