/// What is known of a peer's certificate after the handshake.
public enum PeerVerification: Sendable, Equatable {
    /// Verification is off, by option.
    case notAsked
    /// The peer has shown no certificate, and need not.
    case noCertificate
    /// The chain ends in an authority that is trusted.
    case verified
    /// One of the options that accept a fault was needed.
    case excused
}
