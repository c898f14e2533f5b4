import CLinux
import Provider

/// The extensions at the end of the URL (RFC 4516, 2.1). One with an exclamation mark must be known; another that is not
/// known is passed over.
struct LDAPExtensions: Sendable {
    /// Whom to log in as (`bindname`); nobody where it is empty.
    private(set) var bindName: KeyTemplate?
    /// The password for that (`x-bindpw`).
    private(set) var password: BindPassword?
    /// Whether the connection turns to TLS before anything else (`x-starttls`, or the operation's number).
    private(set) var startTLS = false
    /// File of the authorities that may have signed the server's certificate (`x-tlscacert`).
    private(set) var authorities: String?
    /// File of our own certificate (`x-tlscert`).
    private(set) var certificate: String?
    /// File of the key to that (`x-tlskey`).
    private(set) var key: String?
    /// How many there are that are not known.
    private(set) var unknown = 0

    /// Reads the last part of the URL.
    /// - Throws: `ConfigurationError` where one that must be known is not, or makes no sense. It quotes neither name nor
    ///   value: a slip of the pen makes a name of a password.
    init(_ list: Substring) throws(ConfigurationError) {
        for (index, item) in list.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            let critical = item.hasPrefix("!")
            let parts = item.drop { $0 == "!" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first, !name.isEmpty else { continue }
            let value = parts.count > 1 ? parts[1] : ""
            switch name.lowercased() {
            case "bindname": bindName = try KeyTemplate(value, "bindname")
            case "x-bindpw": password = try Self.password(value)
            case "x-starttls", "starttls", "1.3.6.1.4.1.1466.20037":
                guard parts.count == 1 else { throw ConfigurationError("the URL's x-starttls takes no value") }
                startTLS = true
            case "x-tlscacert": authorities = try Self.path(value, "x-tlscacert")
            case "x-tlscert": certificate = try Self.path(value, "x-tlscert")
            case "x-tlskey": key = try Self.path(value, "x-tlskey")
            default:
                guard !critical else {
                    throw ConfigurationError("extension \(index + 1) of the URL is marked with ! and not known")
                }
                unknown += 1
            }
        }
        guard (certificate == nil) == (key == nil) else {
            throw ConfigurationError("the URL's x-tlscert and x-tlskey go together")
        }
    }

    /// Decodes a password, in which the key has no place.
    private static func password(_ encoded: Substring) throws(ConfigurationError) -> BindPassword {
        guard var bytes = KeyTemplate.decode(encoded) else {
            throw ConfigurationError("a % in the URL's x-bindpw is not followed by two hexadecimal digits")
        }
        defer { bytes.withUnsafeMutableBytes { linux_wipe($0.baseAddress, $0.count) } }
        return BindPassword(bytes)
    }

    private static func path(_ encoded: Substring, _ name: String) throws(ConfigurationError) -> String {
        guard let bytes = KeyTemplate.decode(encoded), !bytes.isEmpty,
            let path = String(validating: bytes, as: UTF8.self)
        else { throw ConfigurationError("the URL's \(name) is not a path") }
        return ServiceDirectory.absolute(path)
    }
}
