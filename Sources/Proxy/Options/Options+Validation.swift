internal import Daemon

extension Options {
    /// Looks at what several options say together, and settles what they leave open.
    /// - Returns: what is wrong, the gravest first.
    mutating func finish(_ places: OptionPlaces) -> [OptionError] {
        var faults = listenerFaults(places)
        if listen.isEmpty, sslMode.isEmpty, protocolName.isPrivate { sslMode = .sslAll }
        if sslMode.contradictsItself {
            faults.append(OptionError("\(places.prefix("ssl_mode"))invalid ssl_mode combination"))
        }
        if sslPassphraseFd != 0, !sslPassphraseFile.isEmpty {
            faults.append(OptionError("Only one of ssl_passphrase_fd and ssl_passphrase_file may be specified"))
        }
        faults += versionFault("listen", sslListenMinProtoVersion, sslListenMaxProtoVersion)
        faults += versionFault("outgoing", sslOutgoingMinProtoVersion, sslOutgoingMaxProtoVersion)
        if let pidFile, !pidFile.isEmpty, !pidFile.hasPrefix("/") {
            faults.append(OptionError("\(places.prefix("pid_file"))Invalid pid file: \"\(pidFile)\""))
        }
        if inetdMode, !proxyNetworks.isEmpty {
            faults.append(
                OptionError(
                    "\(places.prefix("proxy_networks"))--proxy_networks and --inetd_mode contradict each other: what "
                        + "accepts the connection has to read the PROXY header; leave out one of them"))
        }
        if authenticateIn, let token = saslMechanisms.first(where: \.isToken) {
            faults.append(
                OptionError(
                    "\(places.prefix("sasl_mechanisms"))--sasl_mechanisms \(token.rawValue) and --authenticate_in contradict "
                        + "each other: PAM checks passwords, and a token is none; leave out one of them"))
        }
        do throws(MapList.Failure) {
            _ = try MapList(self)
        } catch {
            faults.append(OptionError("\(places.prefix(error.option))--\(error.option)\(error)"))
        }
        do throws(DaemonError) {
            _ = try LogDestination(logFacility)
        } catch {
            faults.append(OptionError("\(places.prefix("log_facility"))\(error)"))
        }
        return faults
    }

    private func listenerFaults(_ places: OptionPlaces) -> [OptionError] {
        guard !listen.isEmpty else { return [] }
        var faults: [OptionError] = []
        for (name, isThere) in [("bind_address", !bindAddress.isEmpty), ("listen_port", listenPort != nil)]
        where isThere {
            faults.append(
                OptionError(
                    "\(places.prefix(name))--\(name) and --listen do not go together: "
                        + "write address and port into --listen alone"))
        }
        if inetdMode {
            faults.append(
                OptionError(
                    "\(places.prefix("listen"))--listen and --inetd_mode do not go together: "
                        + "inetd listens by itself, so leave --listen out and say --protocol"))
        }
        for (number, listener) in listen.enumerated() {
            let place = "\(places.prefix("listen", mention: number))--listen \(listener)"
            if listen[..<number].contains(where: { $0.description == listener.description }) {
                faults.append(OptionError("\(place): is there twice: leave one of them out"))
            }
            if adapted(to: listener).sslMode.contradictsItself {
                faults.append(
                    OptionError(
                        "\(place): TLS cannot begin both with the first byte and on request: "
                            + "write one ssl_ or tls_ mode for each side"))
            }
        }
        return faults
    }

    private func versionFault(_ side: String, _ oldest: TLSVersion, _ newest: TLSVersion?) -> [OptionError] {
        guard let newest, newest < oldest else { return [] }
        return [
            OptionError(
                "ssl_\(side)_max_proto_version \(newest.rawValue) is older than ssl_\(side)_min_proto_version "
                    + oldest.rawValue)
        ]
    }
}
