/// The text a database is made of: a line for each key, `key:value`, split at the first colon. Nothing else has a
/// meaning: blanks, quotes, backslashes and `#` belong to key or value.
public enum PopmapText {
    /// Bytes of a line: a key and a value of the greatest size a lookup takes.
    public static let lineLimit = 16 * 1024

    /// What a line is.
    public enum Line: Equatable, Sendable {
        /// A key and its value, neither of them empty.
        case entry(key: [UInt8], value: [UInt8])
        /// Nothing.
        case empty
        /// Anything else.
        case invalid
    }

    /// Reads one line, without its end.
    public static func line(_ bytes: ArraySlice<UInt8>) -> Line {
        if bytes.isEmpty { return .empty }
        guard bytes.count <= lineLimit, let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
            colon > bytes.startIndex, colon + 1 < bytes.endIndex
        else { return .invalid }
        return .entry(key: Array(bytes[..<colon]), value: Array(bytes[(colon + 1)...]))
    }
}
