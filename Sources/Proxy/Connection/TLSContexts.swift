import TLS

/// The two sides' keys, certificates and policies; each there only where a listener needs it, and then for all of them.
struct TLSContexts: Sendable {
    /// Towards clients.
    let listen: TLSContext?
    /// Towards real servers.
    let outgoing: TLSContext?

    /// Reads keys and certificates; done before root's rights are dropped.
    /// - Parameters:
    ///   - passphrase: a descriptor that holds what the master has read from `--ssl_passphrase_fd`.
    ///   - tickets: what clients' sessions are sealed with, so that they can be resumed elsewhere.
    /// - Throws: `TLSError`, a sentence that names the option and the file.
    init(_ options: Options, passphrase: Int32? = nil, tickets: TicketKeys? = nil) throws(TLSError) {
        listen = try Self.listen(options, passphrase: passphrase, tickets: tickets)
        outgoing = try Self.outgoing(options)
    }

    /// The side of clients; nil where no listener needs it.
    /// - Throws: as above.
    static func listen(
        _ options: Options, passphrase: Int32? = nil, tickets: TicketKeys? = nil
    ) throws(TLSError) -> TLSContext? {
        options.everySSLMode.isDisjoint(with: [.sslListen, .tlsListen])
            ? nil : try .server(server(options, passphrase), tickets: tickets)
    }

    /// The side of real servers; nil where no listener needs it.
    /// - Throws: as above.
    static func outgoing(_ options: Options) throws(TLSError) -> TLSContext? {
        options.everySSLMode.isDisjoint(with: [.sslOutgoing, .tlsOutgoing]) ? nil : try .client(client(options))
    }

    private static func trust(_ options: Options) -> TLSTrust {
        var trust = TLSTrust()
        trust.caFile = options.sslCaFile
        trust.caPath = options.sslCaPath
        trust.acceptsSelfSignedCA = options.sslCaAcceptSelfSigned
        trust.acceptsSelfSigned = options.sslCertAcceptSelfSigned
        trust.acceptsExpired = options.sslCertAcceptExpired
        trust.acceptsNotYetValid = options.sslCertAcceptNotYetValid
        trust.verifyDepth = options.sslCertVerifyDepth
        return trust
    }

    private static func server(_ options: Options, _ passphrase: Int32?) -> ServerTLSOptions {
        var server = ServerTLSOptions()
        server.certificateFile = options.sslCertFile
        server.keyFile = options.sslKeyFile
        server.certificateDirectory = options.sslCertDir
        server.caChainFile = options.sslCaChainFile
        let descriptor = Int32(clamping: options.sslPassphraseFd)
        if !options.sslPassphraseFile.isEmpty {
            server.passphrase = .file(options.sslPassphraseFile)
        } else {
            server.passphrase = passphrase.map { .handedOn($0, from: descriptor) } ?? .descriptor(descriptor)
        }
        server.dhParametersFile = options.sslDhParamsFile
        server.ciphers = options.sslListenCiphers
        server.minimumVersion = options.sslListenMinProtoVersion.rawValue
        server.maximumVersion = options.sslListenMaxProtoVersion?.rawValue ?? ""
        server.allowsCompression = options.sslListenCompression
        server.prefersServerCiphers = !options.sslNoCipherServerPreference
        server.sendsTickets = !options.sslNoSessionTickets
        server.verifiesClients = !options.sslNoClientCertVerify && !options.sslNoCertVerify
        server.trust = trust(options)
        return server
    }

    private static func client(_ options: Options) -> ClientTLSOptions {
        var client = ClientTLSOptions()
        client.ciphers = options.sslOutgoingCiphers
        client.minimumVersion = options.sslOutgoingMinProtoVersion.rawValue
        client.maximumVersion = options.sslOutgoingMaxProtoVersion?.rawValue ?? ""
        client.allowsCompression = options.sslOutgoingCompression
        client.verifiesCertificate = !options.sslNoCertVerify
        client.verifiesName = !options.sslNoCnVerify
        client.trust = trust(options)
        return client
    }
}
