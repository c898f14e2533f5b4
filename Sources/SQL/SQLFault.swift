/// Why a database gave no row.
public struct SQLFault: Error, Equatable, Sendable {
    /// What the fault means for the lookup.
    public enum Kind: Sendable {
        /// The database cannot be reached, or refuses; a new connection or a later try may help.
        case temporary
        /// It did not answer in time.
        case late
        /// The key is something that the column cannot hold, so it is not there.
        case impossibleKey
        /// The set-up is wrong in a way that only people can mend.
        case permanent
    }

    /// What it means.
    public var kind: Kind
    /// A sentence for the log; it never has a password.
    public var text: String

    /// A fault; of the database's own words no more than a line of 300 bytes is kept.
    public init(_ kind: Kind, _ text: String) {
        self.kind = kind
        let line = text.utf8.prefix(300).map { $0 < 0x20 ? UInt8(ascii: " ") : $0 }
        var words = String(decoding: line, as: UTF8.self)[...]
        while words.last == " " { words.removeLast() }
        self.text = String(words)
    }
}
