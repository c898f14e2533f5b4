import COpenSSL

/// A protocol version as the options spell it.
enum TLSVersion: String, CaseIterable {
    case sslv3
    case tlsv1
    case tlsv1_1 = "tlsv1.1"
    case tlsv1_2 = "tlsv1.2"
    case tlsv1_3 = "tlsv1.3"

    /// The number of the protocol on the wire.
    var number: Int32 {
        switch self {
        case .sslv3: SSL3_VERSION
        case .tlsv1: TLS1_VERSION
        case .tlsv1_1: TLS1_1_VERSION
        case .tlsv1_2: TLS1_2_VERSION
        case .tlsv1_3: TLS1_3_VERSION
        }
    }

    /// Reads an option's value; letter case does not matter.
    static func parse(_ text: String, option: String) throws(TLSError) -> TLSVersion {
        guard let version = TLSVersion(rawValue: text.lowercased()) else {
            let known = allCases.map(\.rawValue).joined(separator: ", ")
            throw .option(option, text.isEmpty ? "\"\"" : text, "unknown protocol version; known are \(known)")
        }
        return version
    }
}
