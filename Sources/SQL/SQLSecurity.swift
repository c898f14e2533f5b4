import Provider

/// How a connection to a database is secured.
public struct SQLSecurity: Equatable, Sendable {
    /// What is asked of TLS.
    public enum Mode: String, Sendable {
        /// None.
        case off
        /// TLS where the server has it.
        case prefer
        /// TLS, whoever the server is: nobody who only listens learns anything.
        case require
        /// TLS, and the server has a certificate for the name it was asked by.
        case verify
    }

    /// Authorities that Debian and its kin trust, for `.verify` without a file.
    public static let systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"

    /// Nil: what the client library does by itself.
    public var mode: Mode?
    /// A file of authorities (PEM); empty: the system's.
    public var authorities = ""
    /// A file with the client's certificate (PEM); empty: none.
    public var certificate = ""
    /// A file with the key of that certificate (PEM).
    public var key = ""

    /// Whatever the client library does by itself.
    public init() {}

    /// Takes the value of one key of the options string.
    /// - Returns: whether the key is one of those for TLS.
    mutating func take(_ pair: SQLPair) throws(ConfigurationError) -> Bool {
        switch pair.key {
        case "tls":
            guard let mode = Mode(rawValue: pair.value) else {
                throw ConfigurationError("tls in the options string is one of off, prefer, require and verify")
            }
            self.mode = mode
        case "ca": authorities = ServiceDirectory.absolute(pair.value)
        case "cert": certificate = ServiceDirectory.absolute(pair.value)
        case "key": key = ServiceDirectory.absolute(pair.value)
        default: return false
        }
        return true
    }
}
