internal import Daemon

extension Options {
    /// Looks at what several options say together, and settles what they leave open.
    ///
    /// `source` gives, for an option's name, the place in the file that set it, or nothing.
    mutating func finish(source: (String) -> String) throws(OptionError) {
        try checkListeners(source: source)
        if listen.isEmpty, sslMode.isEmpty, protocolName.isPrivate { sslMode = .sslAll }
        if sslMode.contradictsItself { throw OptionError("\(source("ssl_mode"))invalid ssl_mode combination") }
        if sslPassphraseFd != 0, !sslPassphraseFile.isEmpty {
            throw OptionError("Only one of ssl_passphrase_fd and ssl_passphrase_file may be specified")
        }
        try checkVersions("listen", sslListenMinProtoVersion, sslListenMaxProtoVersion)
        try checkVersions("outgoing", sslOutgoingMinProtoVersion, sslOutgoingMaxProtoVersion)
        if let pidFile, !pidFile.isEmpty, !pidFile.hasPrefix("/") {
            throw OptionError("\(source("pid_file"))Invalid pid file: \"\(pidFile)\"")
        }
        if inetdMode, !proxyNetworks.isEmpty {
            throw OptionError(
                "\(source("proxy_networks"))--proxy_networks and --inetd_mode contradict each other: what accepts the "
                    + "connection has to read the PROXY header; leave out one of them")
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

    private func checkListeners(source: (String) -> String) throws(OptionError) {
        guard !listen.isEmpty else { return }
        for (name, isThere) in [("bind_address", !bindAddress.isEmpty), ("listen_port", listenPort != nil)]
        where isThere {
            throw OptionError(
                "\(source(name))--\(name) and --listen do not go together: write address and port into --listen alone")
        }
        if inetdMode {
            throw OptionError(
                "\(source("listen"))--listen and --inetd_mode do not go together: inetd listens by itself, so leave --listen out "
                    + "and say --protocol")
        }
        for (number, listener) in listen.enumerated() {
            let place = "\(source("listen"))--listen \(listener)"
            if listen[..<number].contains(where: { $0.description == listener.description }) {
                throw OptionError("\(place): is there twice: leave one of them out")
            }
            if adapted(to: listener).sslMode.contradictsItself {
                throw OptionError(
                    "\(place): TLS cannot begin both with the first byte and on request: write one ssl_ or tls_ mode for each "
                        + "side")
            }
        }
    }

    private func checkVersions(_ side: String, _ oldest: TLSVersion, _ newest: TLSVersion?) throws(OptionError) {
        guard let newest, newest < oldest else { return }
        throw OptionError(
            "ssl_\(side)_max_proto_version \(newest.rawValue) is older than ssl_\(side)_min_proto_version "
                + oldest.rawValue)
    }
}
