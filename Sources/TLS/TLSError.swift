/// Why TLS could not be set up or went wrong, as one sentence for the log. It never holds a secret, and what it quotes
/// from the network is printable ASCII.
public struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What went wrong, as far as a caller acts on it.
    public enum Kind: Sendable, Equatable {
        /// An option or a file it names; only at start.
        case option
        /// The peer's certificate was refused.
        case certificate
        /// The peer's certificate is for another name than the one asked for.
        case name
        /// The peer broke the protocol, or both sides have nothing in common.
        case handshake
        /// The connection broke: reset, timed out by the system, memory.
        case lost
    }

    /// The kind of fault.
    public let kind: Kind
    /// The sentence, without a full stop at its end.
    public let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    static func option(_ name: String, _ value: String, _ fault: String) -> TLSError {
        TLSError(.option, "--\(name) \(printable(value)): \(fault)")
    }
}

/// Text for a log line: whatever is not printable ASCII is shown as \xHH, and what is long is cut.
func printable(_ text: String) -> String {
    let limit = 512
    var result = ""
    for byte in text.utf8.prefix(limit) {
        if (0x20..<0x7F).contains(byte), byte != 0x5C {
            result.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            let hex = String(byte, radix: 16, uppercase: true)
            result += hex.utf8.count == 1 ? "\\x0\(hex)" : "\\x\(hex)"
        }
    }
    return text.utf8.count > limit ? result + "..." : result
}
