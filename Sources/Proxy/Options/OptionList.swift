/// Every option of perdition, in the order of `--help` and of the manual page.
public enum OptionList {
    /// Seconds, connections: what fits the original's counters.
    private static let count = 0...Int(Int32.max)

    /// All of them.
    public static let all = connections + limits + dialogue + users + log + process + tls

    private static let connections: [OptionDeclaration] = [
        .init(
            "protocol", "P",
            .choice(
                "PROTOCOL", \.protocolName, of: ProtocolName.allCases.map(\.logName).joined(separator: ", "),
                original: { text, _ in "Unknown protocol: \"\(text)\"" }, show: { $0.logName },
                read: { ProtocolName(option: $0) }),
            .connections,
            "Protocol to speak: POP3, IMAP4, POP3S, IMAP4S or MANAGESIEVE. The name the program is started by says it, too."
        ),
        .init(
            "bind_address", "b", .servers("SERVER[,SERVER...]", \.bindAddress), .connections,
            "Listen on these addresses only; listen_port is used where a port is missing."),
        .init(
            "listen_port", "l", .filledText("PORT", \.listenPort), .connections,
            "Port to listen on, by number or name.", default: "that of the protocol"),
        .init(
            "listen", .listeners(\.listen), .connections,
            "Listen here, for this protocol: imap4, imap4s, pop3, pop3s or managesieve; ADDRESS is one, a host's name or *. "
                + "Given once for each of several, in place of protocol, bind_address and listen_port. "
                + "Behind a ?, ssl=MODE and outgoing_port=PORT stand for ssl_mode and outgoing_port here."),
        .init(
            "outgoing_server", "s", .servers("SERVER[,SERVER...]", \.outgoingServer), .connections,
            "Real servers, taken in turn, for users that the popmap does not know."),
        .init(
            "outgoing_port", "p", .filledText("PORT", \.outgoingPort), .connections,
            "Port of real servers that come without one, by number or name.", default: "that of the protocol"),
        .init(
            "connection_limit", "L", .number("LIMIT", \.connectionLimit, count), .connections,
            "Most connections to hold at a time; 0 for no limit."),
        .init(
            "authenticate_timeout", .number("SECONDS", \.authenticateTimeout, count), .connections,
            "Seconds a session may be silent before login; 0 for no limit."),
        .init(
            "timeout", "t", .number("SECONDS", \.timeout, count), .connections,
            "Seconds a session may be silent after login; 0 for no limit."),
        .init(
            "connect_timeout", .number("SECONDS", \.connectTimeout, count), .connections,
            "Seconds until the next address or server is tried when one does not answer; 0 for no limit."),
        .init(
            "server_timeout", .number("SECONDS", \.serverTimeout, count), .connections,
            "Seconds a real server may take for each answer before login; 0 for no limit."),
        .init(
            "no_lookup", "n", .flag(\.noLookup), .connections,
            "Ask for no names of hosts and ports: the popmap has to give addresses and numbers."),
        .init(
            "tcp_keepalive", .flag(\.tcpKeepalive), .connections,
            "Let TCP probe idle connections, on both sides."),
        .init(
            "proxy_networks", .networks("NETWORK[,NETWORK...]", \.proxyNetworks), .connections,
            "Load balancers, whose connections must begin with a header of the PROXY protocol, version 1 or 2. The client "
                + "it names is the one that is counted and logged."),
        .init(
            "outgoing_proxy_protocol", .proxyVersion(\.outgoingProxyProtocol), .connections,
            "Begin connections to real servers with a header of the PROXY protocol that names the client: v1 or v2. "
                + "Empty for none."),
        .init(
            "forward_client_address", .flag(\.forwardClientAddress), .connections,
            "Tell real servers that offer it who the client is: by ID in IMAP4, by XCLIENT in POP3 and ManageSieve."),
        .init(
            "forward_session_id", .flag(\.forwardSessionId), .connections,
            "Name each login to real servers in the same way, and log that name in a line beginning with Session, so that "
                + "their log and ours can be read together."),
    ]

    private static let dialogue: [OptionDeclaration] = [
        .init(
            "no_bind_banner", "B", .flag(\.noBindBanner), .dialogue,
            "Greet with the name of this machine rather than that of the address connected to."),
        .init(
            "imap_capability", .line("STRING", \.imapCapability), .dialogue,
            "Capabilities for IMAP4 and IMAP4S, with blanks between."),
        .init(
            "pop_capability", .line("STRING", \.popCapability), .dialogue,
            "Capabilities for POP3 and POP3S, with dots between."),
        .init(
            "managesieve_capability", .line("STRING", \.managesieveCapability), .dialogue,
            "Capabilities for ManageSieve, quoted, with two blanks between."),
        .init(
            "capability", "I", .capability, .dialogue, "Sets the capabilities of all protocols.", default: "\"\"",
            replacement: "imap_capability, pop_capability or managesieve_capability"),
        .init(
            "ok_line", "O", .line("STRING", \.okLine), .dialogue, "What a client hears when its login succeeded."),
        .init(
            "server_resp_line", "o", .flag(\.serverRespLine), .dialogue,
            "Pass on the answer of the real server to a login instead of ok_line."),
        .init(
            "server_ok_line", .flag(\.serverRespLine), .dialogue, "The old name of server_resp_line.",
            replacement: "server_resp_line"),
        .init(
            "server_capability", .flag(\.serverCapability), .dialogue,
            "Put the capabilities that the real server's OK has, if any, into ours (IMAP4)."),
        .init(
            "login_disabled", .flag(\.loginDisabled), .dialogue, "Let nobody log in, and say so where IMAP4 can."),
        .init(
            "sasl_mechanisms", .mechanisms(\.saslMechanisms), .dialogue,
            "Mechanisms that clients may log in with beside LOGIN and USER: PLAIN, LOGIN, XOAUTH2, OAUTHBEARER. They "
                + "are added to the capabilities. Empty for none, and PLAIN in ManageSieve."),
    ]

    private static let users: [OptionDeclaration] = [
        .init(
            "domain_delimiter", "D", .text("STRING", \.domainDelimiter), .users,
            "What stands between user and domain; one character or several."),
        .init(
            "strip_domain", "S", .stages(\.stripDomain), .users,
            "Cut delimiter and domain off the user's name in these states: servername_lookup, local_authentication, "
                + "remote_login or all."),
        .init(
            "add_domain", "A", .stages(\.addDomain, depth: \Options.addDomainDepth), .users,
            "Append a domain to names without one, in these states. It is the name of the address connected to, less "
                + "its DEPTH first labels (1 unless given)."),
        .init(
            "explicit_domain", "e", .filledText("STRING", \.explicitDomain), .users,
            "The domain for add_domain, instead of the name of the address."),
        .init(
            "lower_case", .stages(\.lowerCase), .users, "Turn the letters A to Z of names into a to z in these states."),
        .init(
            "client_server_specification", "c", .flag(\.clientServerSpecification), .users,
            "Let users name their real server: user<delimiter>server[:port]."),
        .init(
            "username_from_database", "U", .flag(\.usernameFromDatabase), .users,
            "Log in to the real server with the name the popmap gives, where it gives one."),
        .init(
            "query_key", .list("FORMAT[,FORMAT...]", \.queryKey), .users,
            #"Keys to look up, one after the other, until one is found: \U long name, \u name without domain, "#
                + #"\D delimiter, \d domain, \i and \p address and port of the client, \I and \P those it connected "#
                + #"to, \\ a backslash. Empty for the name as it is."#),
        .init(
            "authenticate_in", "a", .flag(\.authenticateIn), .users,
            "Check name and password with PAM before the real server sees them."),
        .init(
            "map_library", "M", .text("PROVIDER[,PROVIDER...]", \.mapLibrary), .users,
            "Who answers lookups: the short name or the path of a program, or unix:PATH for one that runs already. "
                + "Several are asked in turn until one knows the user. Empty for no lookups."),
        .init(
            "map_library_opt", "m", .secrets("STRING", \.mapLibraryOpt), .users,
            "What the provider is told to open. For several, given once for each that perdition starts, in their order."
        ),
        .init(
            "map_provider_dir", .filledText("DIRECTORY", \.mapProviderDir), .users,
            "Where providers with a short name are.", default: "libexec/perdition of the installation"),
        .init(
            "map_timeout", .number("SECONDS", \.mapTimeout, 1...3600), .users,
            "Seconds until a lookup without an answer counts as failed for now."),
        .init(
            "map_cache_ttl", .number("SECONDS", \.mapCacheTtl, 0...604_800), .users,
            "Seconds for which an answer of a map is used without asking again; a tenth of that for users that are not "
                + "there. 0 for asking each time."),
        .init(
            "map_stale_ttl", .number("SECONDS", \.mapStaleTtl, 0...604_800), .users,
            "Seconds for which an answer of a map is used while the map cannot be asked. 0 for not at all."),
        .init(
            "map_cache_size", .number("COUNT", \.mapCacheSize, 0...10_000_000), .users,
            "Most answers to keep of each map; 0 for none."),
    ]

    private static let log: [OptionDeclaration] = [
        .init(
            "log_facility", "F", .text("FACILITY", \.logFacility), .log,
            "Facility of syslog, or a file with its full path, or - and + for standard output and error."),
        .init("quiet", "q", .flag(\.quiet), .log, "Log errors only. Debug is stronger."),
        .init("debug", "d", .flag(\.debug), .log, "Log what happens inside."),
        .init(
            "connection_logging", "C", .flag(\.connectionLogging), .log,
            "With debug, log what clients and real servers say until a login has succeeded."),
        .init(
            "log_passwd",
            .choice(
                "STATE", \.logPasswd, of: PasswordLogging.names,
                original: { text, _ in "Invalid log_passwd mode: \"\(text)\"" }, show: { $0.rawValue },
                read: { PasswordLogging(rawValue: $0.lowercased()) }),
            .log, "With debug, log passwords of logins that fail, that are ok, always or never."),
        .init(
            "connect_relog", .number("SECONDS", \.connectRelog, count), .log,
            "Seconds until the Auth line of a session is logged again; 0 for once only."),
    ]

    private static let process: [OptionDeclaration] = [
        .init(
            "config_file", "f", .configFile(\.configFile), .process,
            "File to read options from. Empty for none.", default: "chosen by the program's name"),
        .init("username", "u", .text("USER", \.username), .process, "User to run as, by name or number."),
        .init("group", "g", .text("GROUP", \.group), .process, "Group to run as, by name or number."),
        .init("no_daemon", .flag(\.noDaemon), .process, "Stay in the foreground."),
        .init(
            "inetd_mode", "i", .flag(\.inetdMode), .process, "Serve one client on standard input and output."),
        .init(
            "pid_file", .text("FILENAME", \.pidFile), .process,
            "File for the process number, with its full path. Empty for none.",
            default: "/var/run/NAME/NAME.pid"),
        .init(
            "threads", .number("COUNT", \.threads, 0...1024), .process,
            "Threads that serve clients; 0 for one on each processor."),
        .init(
            "no_io_uring", .flag(\.noIoUring), .process,
            "Watch and send by epoll, where io_uring would be used."),
        .init(
            "resolver_threads", .number("COUNT", \.resolverThreads, 1...256), .process,
            "Names of hosts that can be looked up at the same time."),
        .init(
            "drain_timeout", .number("SECONDS", \.drainTimeout, count), .process,
            "Seconds that sessions from before a reload may go on; 0 for no limit."),
        .init(
            "check", .print(.check), .process,
            "Look at options, files, keys, certificates, ports and maps, print what is wrong with them, and change nothing."
        ),
        .init(
            "explain", .order("USER", .explain), .process,
            "Print where a login of this user would go, and why. Nobody is logged in."),
        .init(
            "connect", .print(.connect), .process,
            "With explain, connect to the real server and print what it says."),
        .init(
            "control_socket", .text("PATH", \.controlSocket), .process,
            "Unix socket where perditionctl asks; root's alone. Empty for none.",
            default: "/run/perdition/NAME.control"),
        .init(
            "metrics_address", .servers("ADDRESS:PORT[,ADDRESS:PORT...]", \.metricsAddress), .process,
            "Serve metrics for Prometheus and a status page over HTTP here, as 127.0.0.1:9144. Empty for nowhere."),
        .init("help", "h", .print(.help), .process, "Print this text."),
        .init(
            "print_sample_configuration", .print(.sample), .process,
            "Print a configuration file with every option at its default."),
        .init(
            "completion", .completion, .process,
            "Print what makes a shell complete these options: bash, zsh or fish.", default: "none"),
    ]
}
