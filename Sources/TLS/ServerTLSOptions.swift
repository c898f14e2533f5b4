/// How clients are served TLS. Every member is an option of the manual.
public struct ServerTLSOptions: Sendable {
    /// `ssl_cert_file`: the certificate in PEM, then those of its chain.
    public var certificateFile = "/etc/perdition/perdition.crt.pem"
    /// `ssl_cert_dir`: certificates for clients that ask for their names; "" for none.
    public var certificateDirectory = ""
    /// `ssl_key_file`, in PEM.
    public var keyFile = "/etc/perdition/perdition.key.pem"
    /// `ssl_ca_chain_file`: the authorities above the certificate, sent to clients where `certificateFile` holds none, and
    /// believed like those of `trust`; "" for none. It has no say towards real servers.
    public var caChainFile = ""
    /// `ssl_passphrase_fd` or `ssl_passphrase_file`; asked only when the key is encrypted.
    public var passphrase = PassphraseSource.descriptor(0)
    /// `ssl_dh_params_file`; "" for the parameters in `ssl_cert_file`, or else OpenSSL's own.
    public var dhParametersFile = ""
    /// `ssl_listen_ciphers`; "" for OpenSSL's default.
    public var ciphers = ""
    /// `ssl_listen_min_proto_version`.
    public var minimumVersion = "tlsv1.2"
    /// `ssl_listen_max_proto_version`; "" for the newest.
    public var maximumVersion = ""
    /// `ssl_listen_compression`.
    public var allowsCompression = false
    /// False with `ssl_no_cipher_server_preference`.
    public var prefersServerCiphers = true
    /// False with `ssl_no_session_tickets`: then every connection is a full handshake.
    public var sendsTickets = true
    /// False with `ssl_no_client_cert_verify` or `ssl_no_cert_verify`: then no certificate is asked of clients.
    public var verifiesClients = true
    /// Whose client certificates are believed.
    public var trust = TLSTrust()

    /// The defaults of the manual, but for the minimum version.
    public init() {}
}
