import Lookup

/// What the helper says to a name and a password, and how it stands on the wire: one netstring.
public enum AuthenticationVerdict: Equatable, Sendable {
    /// They are right, and the account may be used.
    case accepted
    /// They are not. A further try should not be possible for this many milliseconds (`pam_fail_delay(3)`).
    case refused(delay: UInt64)
    /// Nobody can say at present; the reason is for the log.
    case unavailable(String)

    /// Bytes of an answer at most.
    public static let limit = 1024
    /// Milliseconds that a refusal may ask for at most.
    public static let longestDelay: UInt64 = 60_000

    /// Reads the payload of an answer. What is not understood is `unavailable`, never a yes or a no.
    public init(payload: ArraySlice<UInt8>) {
        let words = payload.split(separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
        let rest = words.count > 1 ? String(decoding: words[1], as: UTF8.self) : ""
        switch words.first.map({ String(decoding: $0, as: UTF8.self) }) {
        case "OK" where words.count == 1: self = .accepted
        case "NO" where UInt64(rest) != nil: self = .refused(delay: min(UInt64(rest) ?? 0, Self.longestDelay))
        case "TEMP": self = .unavailable(rest)
        default: self = .unavailable("the authentication helper's answer cannot be understood")
        }
    }

    /// The answer as a whole netstring.
    public var encoded: [UInt8] {
        let text =
            switch self {
            case .accepted: "OK"
            case .refused(let delay): "NO \(delay)"
            case .unavailable(let reason): "TEMP \(reason)"
            }
        let payload = text.utf8.prefix(Self.limit)
        var bytes: [UInt8] = []
        Netstring.open(payload.count, in: &bytes)
        bytes.append(contentsOf: payload)
        bytes.append(UInt8(ascii: ","))
        return bytes
    }
}
