/// How real servers are spoken to. Every member is an option of the manual.
public struct ClientTLSOptions: Sendable {
    /// `ssl_outgoing_ciphers`; "" for OpenSSL's default.
    public var ciphers = ""
    /// `ssl_outgoing_min_proto_version`.
    public var minimumVersion = "tlsv1.2"
    /// `ssl_outgoing_max_proto_version`; "" for the newest.
    public var maximumVersion = ""
    /// `ssl_outgoing_compression`.
    public var allowsCompression = false
    /// False with `ssl_no_cert_verify`.
    public var verifiesCertificate = true
    /// False with `ssl_no_cn_verify`. The name is looked at even where the certificate is not verified.
    public var verifiesName = true
    /// Whose certificates are believed.
    public var trust = TLSTrust()

    /// The defaults of the manual, but for the minimum version.
    public init() {}
}
