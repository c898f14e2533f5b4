extension OptionList {
    static let tls: [OptionDeclaration] = [
        .init(
            "ssl_mode", .sslMode(\.sslMode), .tls,
            "Encryption: ssl_ from the first byte or tls_ on request, towards clients (listen), real servers (outgoing) "
                + "or both (all); with _force no login without. Or none."),
        .init(
            "ssl_ca_chain_file", .text("FILENAME", \.sslCaChainFile), .tls,
            "Authorities that sign the certificates of others, in one file; used instead of ssl_ca_file and "
                + "ssl_ca_path."),
        .init(
            "ssl_ca_file", .text("FILENAME", \.sslCaFile), .tls,
            "Authorities that sign the certificates of others, asked first."),
        .init(
            "ssl_ca_path", .text("DIRECTORY", \.sslCaPath), .tls,
            "Directory of such authorities, made ready by openssl rehash, asked second."),
        .init(
            "ssl_ca_accept_self_signed", .flag(\.sslCaAcceptSelfSigned), .tls,
            "Accept authorities that signed themselves."),
        .init(
            "ssl_cert_file", .text("FILENAME", \.sslCertFile), .tls,
            "Our certificate for clients, with its chain (PEM)."),
        .init(
            "ssl_cert_dir", .text("DIRECTORY", \.sslCertDir), .tls,
            "More certificates, each for the names in it, for clients that ask for one of them. NAME.pem with its key, "
                + "or NAME.crt beside NAME.key, or folders with fullchain.pem and privkey.pem."),
        .init("ssl_key_file", .text("FILENAME", \.sslKeyFile), .tls, "Its private key (PEM)."),
        .init(
            "ssl_passphrase_fd", .number("N", \.sslPassphraseFd, 0...65535), .tls,
            "Descriptor whose first line opens the key."),
        .init(
            "ssl_passphrase_file", .text("FILENAME", \.sslPassphraseFile), .tls,
            "File whose first line opens the key."),
        .init(
            "ssl_dh_params_file", .text("FILENAME", \.sslDhParamsFile), .tls,
            "Diffie-Hellman parameters (PEM). Empty for those of the certificate file, or else of OpenSSL."),
        .init(
            "ssl_cert_accept_self_signed", .flag(\.sslCertAcceptSelfSigned), .tls,
            "Accept real servers whose certificate signed itself."),
        .init(
            "ssl_cert_accept_expired", .flag(\.sslCertAcceptExpired), .tls,
            "Accept certificates that are too old."),
        .init(
            "ssl_cert_accept_not_yet_valid", .flag(\.sslCertAcceptNotYetValid), .tls,
            "Accept certificates that are too new."),
        .init(
            "ssl_cert_verify_depth", .number("DEPTH", \.sslCertVerifyDepth, 0...100), .tls,
            "Most authorities between a certificate and the one that is trusted."),
        .init(
            "ssl_no_cert_verify", .flag(\.sslNoCertVerify), .tls, "Trust any certificate of real servers."),
        .init(
            "ssl_no_client_cert_verify", .flag(\.sslNoClientCertVerify), .tls,
            "Trust any certificate of clients."),
        .init(
            "ssl_no_cn_verify", .flag(\.sslNoCnVerify), .tls,
            "Do not compare the name in the certificate of a real server."),
        .init(
            "ssl_listen_ciphers", .text("STRING", \.sslListenCiphers), .tls,
            "Ciphers for clients, as in ciphers(1). Empty for those of OpenSSL."),
        .init(
            "ssl_outgoing_ciphers", .text("STRING", \.sslOutgoingCiphers), .tls,
            "Ciphers for real servers, as in ciphers(1). Empty for those of OpenSSL."),
        .init(
            "ssl_listen_min_proto_version", .version(\.sslListenMinProtoVersion), .tls,
            "Oldest version for clients: sslv3, tlsv1, tlsv1.1, tlsv1.2 or tlsv1.3."),
        .init(
            "ssl_outgoing_min_proto_version", .version(\.sslOutgoingMinProtoVersion), .tls,
            "Oldest version for real servers."),
        .init(
            "ssl_listen_max_proto_version", .version(\.sslListenMaxProtoVersion), .tls,
            "Newest version for clients. Empty for that of OpenSSL."),
        .init(
            "ssl_outgoing_max_proto_version", .version(\.sslOutgoingMaxProtoVersion), .tls,
            "Newest version for real servers. Empty for that of OpenSSL."),
        .init(
            "ssl_listen_compression", .flag(\.sslListenCompression), .tls, "Let clients ask for compression."),
        .init(
            "ssl_outgoing_compression", .flag(\.sslOutgoingCompression), .tls,
            "Ask real servers for compression."),
        .init(
            "ssl_no_cipher_server_preference", .flag(\.sslNoCipherServerPreference), .tls,
            "Let clients choose the cipher."),
        .init(
            "ssl_no_session_tickets", .flag(\.sslNoSessionTickets), .tls,
            "Have clients do a full handshake for each connection."),
    ]
}
