/// Everything an administrator can set, with its default: one property for each option of perdition(8), named after
/// it. Names, letters, help and the order of the manual stand in ``OptionList``.
public struct Options: Sendable, Equatable {
    /// The last part of argv[0]: it chooses the protocol, the configuration file and the pid file, and names log lines.
    public var programName = "perdition"

    // MARK: Protocol and addresses

    /// `--protocol`.
    public var protocolName = ProtocolName.pop3
    /// `--bind_address`; empty means every address.
    public var bindAddress: [ServerAddress] = []
    /// `--listen_port`, a number or a name; nil means that of the protocol.
    public var listenPort: String?
    /// `--listen`; empty means the one protocol, with ``bindAddress`` and ``listenPort``. See ``perListener``.
    public var listen: [Listener] = []
    /// `--outgoing_server`, in turn for users the popmap does not know.
    public var outgoingServer: [ServerAddress] = []
    /// `--outgoing_port`, a number or a name; nil means that of the protocol.
    public var outgoingPort: String?
    /// `--connection_limit`; 0 means none.
    public var connectionLimit = 0
    /// `--no_lookup`.
    public var noLookup = false
    /// `--tcp_keepalive`.
    public var tcpKeepalive = false
    /// `--proxy_networks`, whose connections begin with a header of the PROXY protocol.
    public var proxyNetworks: [Network] = []
    /// `--outgoing_proxy_protocol`; nil for no header.
    var outgoingProxyProtocol: ProxyHeader.Version?
    /// `--forward_client_address`.
    public var forwardClientAddress = false
    /// `--forward_session_id`.
    public var forwardSessionId = false
    /// `--authenticate_timeout`, seconds without a byte before login; 0 means none.
    public var authenticateTimeout = 1800
    /// `--timeout`, seconds without a byte after login; 0 means none.
    public var timeout = 1800
    /// `--connect_timeout`, seconds until an address of a real server that does not answer is given up; 0 means none.
    public var connectTimeout = 10
    /// `--server_timeout`, seconds a real server gets for each answer before the login; 0 means none.
    public var serverTimeout = 60

    // MARK: Limits

    /// `--connections_per_address`; 0 means none.
    public var connectionsPerAddress = 0
    /// `--logins_per_address`, connections of one address that have not logged in; 0 means none.
    public var loginsPerAddress = 100
    /// `--sessions_per_user`; 0 means none.
    public var sessionsPerUser = 1000
    /// `--failures_per_connection`, failed logins after which a connection is closed; 0 means none.
    public var failuresPerConnection = 10
    /// `--failure_delay_limit`, the longest pause after a failed login, in seconds.
    public var failureDelayLimit = 30
    /// `--trusted_networks`, whose clients are not counted and not slowed down.
    public var trustedNetworks = ["127.0.0.0/8", "::1"].compactMap { Network($0) }

    // MARK: What clients see

    /// `--no_bind_banner`.
    public var noBindBanner = false
    /// `--imap_capability`, words between blanks.
    public var imapCapability = "IMAP4 IMAP4REV1"
    /// `--pop_capability`, items between dots or pairs of blanks.
    public var popCapability = "UIDL.USER"
    /// `--managesieve_capability`, items between pairs of blanks.
    public var managesieveCapability = [
        #""IMPLEMENTATION" "perdition""#,
        #""SIEVE" "comparator-i;octet comparator-i;ascii-casemap fileinto reject envelope encoded-character vacation "#
            + #"subaddress comparator-i;ascii-numeric relational regex imap4flags copy include variables body enotify "#
            + #"environment mailbox date""#,
        #""SASL" "PLAIN""#, #""NOTIFY" "mailto""#, #""VERSION" "1.0""#,
    ].joined(separator: "  ")
    /// `--ok_line`, said to a client whose login succeeded.
    public var okLine = "You are so in"
    /// `--server_resp_line`: pass on what the real server said instead.
    public var serverRespLine = false
    /// `--server_capability`: an IMAP4 client hears the real server's capabilities together with its OK.
    public var serverCapability = false
    /// `--login_disabled`.
    public var loginDisabled = false
    /// `--sasl_mechanisms`; empty means those of the original, which has PLAIN in ManageSieve alone.
    var saslMechanisms: [Mechanism] = []

    // MARK: User names and the popmap

    /// `--domain_delimiter`.
    public var domainDelimiter = "@"
    /// `--strip_domain`.
    public var stripDomain: Stages = []
    /// `--add_domain`.
    public var addDomain: Stages = []
    /// The number at the end of `--add_domain`: how many leading labels of the host's name are left out.
    public var addDomainDepth = 1
    /// `--explicit_domain`.
    public var explicitDomain: String?
    /// `--lower_case`.
    public var lowerCase: Stages = []
    /// `--client_server_specification`.
    public var clientServerSpecification = false
    /// `--username_from_database`.
    public var usernameFromDatabase = false
    /// `--query_key`, formats in the order they are tried; empty means the user's name.
    public var queryKey: [String] = []
    /// `--authenticate_in`.
    public var authenticateIn = false
    /// `--map_library`: a provider's short name, its path, `unix:PATH`, several of these with commas between, or
    /// nothing for no lookups. See ``maps``.
    public var mapLibrary = "gdbm"
    /// `--map_library_opt`, each that was given; may hold a database password, which is never printed.
    public var mapLibraryOpt: [String] = []
    /// `--map_provider_dir`; nil means libexec/perdition of the installation.
    public var mapProviderDir: String?
    /// `--map_timeout`, seconds until a lookup counts as temporarily failed.
    public var mapTimeout = 5
    /// `--map_cache_ttl`, seconds for which an answer serves without asking again; 0 means not at all.
    public var mapCacheTtl = 0
    /// `--map_stale_ttl`, seconds for which an answer serves while the map cannot tell; 0 means not at all.
    public var mapStaleTtl = 3600
    /// `--map_cache_size`, answers kept of each map.
    public var mapCacheSize = 20_000

    // MARK: Log

    /// `--log_facility`: `-`, `+`, a path, or a facility of syslog.
    public var logFacility = "mail"
    /// `--quiet`.
    public var quiet = false
    /// `--debug`; stronger than ``quiet``.
    public var debug = false
    /// `--connection_logging`.
    public var connectionLogging = false
    /// `--log_passwd`.
    public var logPasswd = PasswordLogging.never
    /// `--connect_relog`, seconds between two Auth lines of one session; 0 means one only.
    public var connectRelog = 300

    // MARK: The process

    /// `--config_file`; after parsing the file that was read, nil when there was none.
    public var configFile: String?
    /// `--username`.
    public var username = "nobody"
    /// `--group`.
    public var group = "nogroup"
    /// `--no_daemon`.
    public var noDaemon = false
    /// `--inetd_mode`.
    public var inetdMode = false
    /// `--pid_file`; nil means the default, nothing means none. See ``pidFilePath``.
    public var pidFile: String?
    /// `--threads`, event loops; 0 means one for each core.
    public var threads = 0
    /// `--no_io_uring`.
    public var noIoUring = false
    /// `--resolver_threads`, names resolved at the same time.
    public var resolverThreads = 4
    /// `--control_socket`; nil means the default, nothing means none.
    public var controlSocket: String?
    /// `--metrics_address`; none means that no metrics are served.
    public var metricsAddress: [ServerAddress] = []
    /// `--drain_timeout`, seconds that sessions from before a reload may go on; 0 means as long as they like.
    public var drainTimeout = 86_400

    // MARK: TLS

    /// `--ssl_mode`; after parsing it holds what POP3S and IMAP4S imply, too, unless there is `--listen`.
    public var sslMode: SSLMode = []
    /// `--ssl_ca_chain_file`.
    public var sslCaChainFile = ""
    /// `--ssl_ca_file`.
    public var sslCaFile = ""
    /// `--ssl_ca_path`.
    public var sslCaPath = "/etc/perdition/perdition.ca/"
    /// `--ssl_ca_accept_self_signed`.
    public var sslCaAcceptSelfSigned = false
    /// `--ssl_cert_file`.
    public var sslCertFile = "/etc/perdition/perdition.crt.pem"
    /// `--ssl_cert_dir`; empty for none.
    public var sslCertDir = ""
    /// `--ssl_cert_accept_self_signed`.
    public var sslCertAcceptSelfSigned = false
    /// `--ssl_cert_accept_expired`.
    public var sslCertAcceptExpired = false
    /// `--ssl_cert_accept_not_yet_valid`.
    public var sslCertAcceptNotYetValid = false
    /// `--ssl_cert_verify_depth`.
    public var sslCertVerifyDepth = 9
    /// `--ssl_dh_params_file`.
    public var sslDhParamsFile = ""
    /// `--ssl_key_file`.
    public var sslKeyFile = "/etc/perdition/perdition.key.pem"
    /// `--ssl_listen_ciphers`.
    public var sslListenCiphers = ""
    /// `--ssl_outgoing_ciphers`.
    public var sslOutgoingCiphers = ""
    /// `--ssl_no_cert_verify`.
    public var sslNoCertVerify = false
    /// `--ssl_no_client_cert_verify`.
    public var sslNoClientCertVerify = false
    /// `--ssl_no_cn_verify`.
    public var sslNoCnVerify = false
    /// `--ssl_passphrase_fd`.
    public var sslPassphraseFd = 0
    /// `--ssl_passphrase_file`.
    public var sslPassphraseFile = ""
    /// `--ssl_listen_min_proto_version`.
    public var sslListenMinProtoVersion = TLSVersion.tls12
    /// `--ssl_outgoing_min_proto_version`.
    public var sslOutgoingMinProtoVersion = TLSVersion.tls12
    /// `--ssl_listen_max_proto_version`; nil means the newest OpenSSL has.
    public var sslListenMaxProtoVersion: TLSVersion?
    /// `--ssl_outgoing_max_proto_version`; nil means the newest OpenSSL has.
    public var sslOutgoingMaxProtoVersion: TLSVersion?
    /// `--ssl_listen_compression`.
    public var sslListenCompression = false
    /// `--ssl_outgoing_compression`.
    public var sslOutgoingCompression = false
    /// `--ssl_no_cipher_server_preference`.
    public var sslNoCipherServerPreference = false
    /// `--ssl_no_session_tickets`.
    public var sslNoSessionTickets = false

    /// Every option at its default.
    public init() {}
}

extension Options {
    /// Where the pid goes: the given path, or /var/run/NAME/NAME.pid; nil when none is wanted.
    public var pidFilePath: String? {
        if inetdMode { return nil }
        guard let pidFile else { return "/var/run/\(programName)/\(programName).pid" }
        return pidFile.isEmpty ? nil : pidFile
    }

    /// The port of real servers without one of their own, in the form log lines show: the option, or the protocol's
    /// service name, or with `--no_lookup` its number.
    public var outgoingPortText: String {
        outgoingPort ?? (noLookup ? String(protocolName.defaultPort) : protocolName.serviceName)
    }

    /// Whether the program stays in the foreground: on request, under inetd, or because the log is the terminal.
    public var staysInForeground: Bool {
        noDaemon || inetdMode || logFacility == "-" || logFacility == "+"
    }
}
