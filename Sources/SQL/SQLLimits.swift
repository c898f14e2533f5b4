import Lookup

/// Sizes that a row may have.
public enum SQLLimits {
    /// Bytes of a value: with its status it has to fit a reply.
    public static let value = Limits.reply - 3
}
