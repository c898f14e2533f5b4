import CLinux
import COpenSSL

/// Keys, certificates and policy, read once at start, for any number of connections in one direction.
public final class TLSContext: @unchecked Sendable {
    // Unchecked because an SSL_CTX that nobody configures any more is made by OpenSSL to be shared: its counts are atomic,
    // its certificate store locks. Nothing here changes after `init`.

    /// Whose side connections of this context are on.
    enum Role {
        case server
        case client(verifiesName: Bool)
    }

    /// Sentences for the log about what was accepted although it will not do what was asked.
    public let warnings: [String]

    let handle: OpaquePointer
    let role: Role
    let trust: TLSTrust
    let verifies: Bool
    /// What tickets are sealed with; nil for keys of OpenSSL's own. OpenSSL holds a pointer to it.
    private let tickets: TicketKeys?
    /// More certificates; nil without `ssl_cert_dir`. OpenSSL holds a pointer to it as well.
    private let directory: CertificateDirectory?

    /// A context for clients' connections. Reads the key, so it is made before privileges are dropped.
    /// - Parameter tickets: what sessions are sealed with that clients keep; nil for keys that end with this context.
    /// - Throws: `TLSError` naming the option and its file.
    public static func server(_ options: ServerTLSOptions, tickets: TicketKeys? = nil) throws(TLSError) -> TLSContext {
        let builder = try TLSContextBuilder(TLS_server_method())
        builder.setModes(wipes: true)
        builder.setCompression(options.allowsCompression, option: "ssl_listen_compression")
        builder.setServerPreference(options.prefersServerCiphers)
        try builder.setVersions(options.minimumVersion, options.maximumVersion, direction: "listen")
        builder.setSuites()
        try builder.setCiphers(options.ciphers, option: "ssl_listen_ciphers")
        try builder.loadCertificate(options)
        // Also where clients are not verified: the own chain is completed from the same authorities.
        try builder.loadTrust(options.trust, warns: false)
        if !options.caChainFile.isEmpty {
            try builder.loadAuthorities(options.caChainFile, option: "ssl_ca_chain_file")
        }
        builder.buildChain()
        builder.setServerSessions(verifies: options.verifiesClients, sendsTickets: options.sendsTickets)
        if let tickets, options.sendsTickets { builder.setTickets(tickets) }
        let directory = try builder.setDirectory(options.certificateDirectory)
        return TLSContext(
            builder, role: .server, trust: options.trust, verifies: options.verifiesClients, tickets: tickets,
            directory: directory)
    }

    /// A context for connections to real servers.
    /// - Throws: `TLSError` naming the option and its file.
    public static func client(_ options: ClientTLSOptions) throws(TLSError) -> TLSContext {
        let builder = try TLSContextBuilder(TLS_client_method())
        builder.setModes(wipes: false)
        builder.setCompression(options.allowsCompression, option: "ssl_outgoing_compression")
        try builder.setVersions(options.minimumVersion, options.maximumVersion, direction: "outgoing")
        try builder.setCiphers(options.ciphers, option: "ssl_outgoing_ciphers")
        if options.verifiesCertificate { try builder.loadTrust(options.trust, warns: true) }
        builder.setClientSessions()
        return TLSContext(
            builder, role: .client(verifiesName: options.verifiesName), trust: options.trust,
            verifies: options.verifiesCertificate)
    }

    private init(
        _ builder: TLSContextBuilder, role: Role, trust: TLSTrust, verifies: Bool, tickets: TicketKeys? = nil,
        directory: CertificateDirectory? = nil
    ) {
        SSL_CTX_up_ref(builder.handle)
        handle = builder.handle
        warnings = builder.warnings
        self.role = role
        self.trust = trust
        self.verifies = verifies
        self.tickets = tickets
        self.directory = directory
        if verifies {
            SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, verifyCallback)
        } else {
            SSL_CTX_set_verify(handle, SSL_VERIFY_NONE, nil)
        }
    }

    deinit {
        SSL_CTX_free(handle)
    }
}
