import Foundation

/// Keys and certificates made with the openssl command, in a folder that goes away with the object.
final class Authority {
    /// A certificate, its key, and the file a server shows: the certificate and those above it.
    struct Identity {
        let certificate: String
        let key: String
        let chain: String
    }

    /// When a certificate is valid.
    enum Validity: Sendable {
        case now, expired, future
        /// Long enough for those who find ten days too short.
        case lasting

        /// First and last day, counted from today.
        fileprivate var days: (Double, Double) {
            switch self {
            case .now: (-1, 10)
            case .expired: (-10, -2)
            case .future: (2, 10)
            case .lasting: (-1, 100)
            }
        }
    }

    let directory: TemporaryDirectory
    /// Signs everything that is not said to be signed by somebody else.
    private(set) lazy var root = Result { try issue("Test Authority", by: nil, isAuthority: true) }
    private var count = 0

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// What makes a certificate good for this machine, as x509v3_config(5) has it.
    static let local = "DNS:localhost,IP:127.0.0.1"

    /// A certificate signed by `root`.
    func issue(
        _ name: String, alternatives: String = local, validity: Validity = .now, isAuthority: Bool = false
    ) throws -> Identity {
        try issue(name, by: root.get(), alternatives: alternatives, validity: validity, isAuthority: isAuthority)
    }

    /// A certificate signed by `issuer`, or by itself.
    ///
    /// - Parameter more: Further extensions, as x509v3_config(5) has them.
    func issue(
        _ name: String, by issuer: Identity?, alternatives: String = "", validity: Validity = .now,
        isAuthority: Bool = false, more: String = ""
    ) throws -> Identity {
        count += 1
        let stem = directory.file("\(count)")
        let usage =
            isAuthority
            ? "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign"
            : "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth"
        try directory.write(
            """
            [req]
            distinguished_name=any
            [ca]
            default_ca=own
            [own]
            database=\(stem).db
            new_certs_dir=\(directory.path)
            default_md=sha256
            policy=any
            rand_serial=yes
            unique_subject=no
            x509_extensions=extensions
            [any]
            commonName=supplied
            [extensions]
            subjectKeyIdentifier=hash
            authorityKeyIdentifier=keyid
            \(usage)
            \(alternatives.isEmpty ? "" : "subjectAltName=\(alternatives)")
            \(more)

            """, to: "\(count).cnf")
        // Only openssl ca takes dates of the past and the future, and it wants its ledger.
        try directory.write("", to: "\(count).db")
        try Authority.openssl([
            "req", "-new", "-config", "\(stem).cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", "\(stem).key", "-out", "\(stem).csr", "-subj", "/CN=\(name)",
        ])
        let signer =
            issuer.map { ["-cert", $0.certificate, "-keyfile", $0.key] } ?? ["-selfsign", "-keyfile", "\(stem).key"]
        let (first, last) = validity.days
        try Authority.openssl(
            [
                "ca", "-batch", "-notext", "-config", "\(stem).cnf", "-in", "\(stem).csr", "-out", "\(stem).crt",
                "-startdate", Authority.date(first), "-enddate", Authority.date(last),
            ] + signer)
        let above = try issuer.map { try String(contentsOfFile: $0.chain, encoding: .utf8) } ?? ""
        let own = try String(contentsOfFile: "\(stem).crt", encoding: .utf8)
        return Identity(
            certificate: "\(stem).crt", key: "\(stem).key", chain: try directory.write(own + above, to: "\(count).pem"))
    }

    /// A folder with these certificates as --ssl_ca_path wants them.
    func hashed(_ identities: Identity...) throws -> String {
        count += 1
        let folder = try directory.folder("\(count)")
        for (index, identity) in identities.enumerated() {
            let text = try String(contentsOfFile: identity.certificate, encoding: .utf8)
            try directory.write(text, to: "\(count)/\(index).pem")
        }
        try Authority.openssl(["rehash", folder])
        return folder
    }

    /// The same key, to be opened with `passphrase`.
    func encrypt(_ key: String, _ passphrase: String) throws -> String {
        count += 1
        let path = directory.file("\(count).key")
        try Authority.openssl(["pkey", "-in", key, "-aes128", "-passout", "pass:\(passphrase)", "-out", path])
        return path
    }

    /// Runs openssl to its end.
    @discardableResult
    static func openssl(_ arguments: [String], input: String? = nil) throws -> String {
        let (status, output) = try ChildProcess.run(Programs.debian("openssl"), arguments, input: input)
        guard status == 0 else { throw Failure("openssl \(arguments.joined(separator: " ")): \(status): \(output)") }
        return output
    }

    private static func date(_ day: Double) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.dateFormat = "yyyyMMddHHmmss'Z'"
        return formatter.string(from: Date(timeIntervalSinceNow: day * 86_400))
    }
}

extension Authority.Identity {
    /// The options that make this the proxy's own certificate.
    var options: [String] { ["--ssl_cert_file", chain, "--ssl_key_file", key] }
}
