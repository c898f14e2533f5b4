import COpenSSL

/// Whose certificates are believed, and which faults in them are overlooked. The names are those of the manual.
public struct TLSTrust: Sendable {
    /// `ssl_ca_file`; "" for none.
    public var caFile = ""
    /// `ssl_ca_path`, a directory prepared by `openssl rehash`; "" for none. It need not exist.
    public var caPath = "/etc/perdition/perdition.ca/"
    /// `ssl_ca_accept_self_signed`: a chain may end in a self-signed authority nobody vouched for.
    public var acceptsSelfSignedCA = false
    /// `ssl_cert_accept_self_signed`: the peer's own certificate may be self-signed.
    public var acceptsSelfSigned = false
    /// `ssl_cert_accept_expired`: any certificate of the chain may have expired.
    public var acceptsExpired = false
    /// `ssl_cert_accept_not_yet_valid`: any certificate of the chain may be of the future.
    public var acceptsNotYetValid = false
    /// `ssl_cert_verify_depth`: the highest place in the chain a certificate may have, the peer's own having place 0.
    public var verifyDepth = 9

    /// The defaults of the manual.
    public init() {}

    /// The option that lets this fault of a certificate pass, and whether it is on; nil where there is none.
    func excuse(for fault: Int32) -> (option: String, isOn: Bool)? {
        switch fault {
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: ("ssl_cert_accept_self_signed", acceptsSelfSigned)
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: ("ssl_ca_accept_self_signed", acceptsSelfSignedCA)
        case X509_V_ERR_CERT_HAS_EXPIRED: ("ssl_cert_accept_expired", acceptsExpired)
        case X509_V_ERR_CERT_NOT_YET_VALID: ("ssl_cert_accept_not_yet_valid", acceptsNotYetValid)
        default: nil
        }
    }
}
