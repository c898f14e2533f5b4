/// A protocol version for `--ssl_listen_min_proto_version` and its three relatives, oldest first.
public enum TLSVersion: String, Sendable, CaseIterable, Comparable {
    /// SSL 3.0; no OpenSSL of our time speaks it, and the library says so.
    case ssl3 = "sslv3"
    /// TLS 1.0.
    case tls1 = "tlsv1"
    /// TLS 1.1.
    case tls11 = "tlsv1.1"
    /// TLS 1.2.
    case tls12 = "tlsv1.2"
    /// TLS 1.3.
    case tls13 = "tlsv1.3"

    /// Older is less.
    public static func < (left: TLSVersion, right: TLSVersion) -> Bool {
        left.age < right.age
    }

    private var age: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// The version named by an option, in any case.
    init?(option text: String) { self.init(rawValue: text.lowercased()) }

    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
