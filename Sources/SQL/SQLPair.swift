public import Provider

/// One `key=value` of an options string, in the grammar of libpq's connection strings: blanks between pairs and around
/// the sign, a value in single quotes where it is empty or has blanks, a backslash ahead of a quote or a backslash.
public struct SQLPair: Equatable, Sendable {
    /// Small letters, digits and underscores.
    public var key: String
    /// Any text.
    public var value: String

    /// A pair.
    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }

    /// The pairs of a string.
    /// - Throws: `ConfigurationError`, which quotes nothing: a piece of a password may have gone astray.
    public static func list(_ text: String) throws(ConfigurationError) -> [SQLPair] {
        var pairs: [SQLPair] = []
        var rest = Array(text.utf8)[...]
        while true {
            rest = rest.drop { isBlank($0) }
            guard !rest.isEmpty else { return pairs }
            let key = rest.prefix { isKeyByte($0) }
            rest = rest.dropFirst(key.count).drop { isBlank($0) }
            guard !key.isEmpty, rest.first == UInt8(ascii: "=") else {
                throw ConfigurationError(
                    "the options string has something in place \(pairs.count + 1) that is not key=value; a value with "
                        + "blanks stands in single quotes")
            }
            rest = rest.dropFirst().drop { isBlank($0) }
            let name = String(decoding: key, as: UTF8.self)
            guard let value = value(&rest) else {
                throw ConfigurationError("the value of '\(name)' in the options string lacks its closing quote")
            }
            guard !pairs.contains(where: { $0.key == name }) else {
                throw ConfigurationError("the options string has '\(name)' twice")
            }
            pairs.append(SQLPair(key: name, value: value))
        }
    }

    static func isKeyByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || (9...13).contains(byte)
    }

    private static func value(_ rest: inout ArraySlice<UInt8>) -> String? {
        let quote = UInt8(ascii: "'")
        let quoted = rest.first == quote
        if quoted { rest.removeFirst() }
        var bytes: [UInt8] = []
        while let byte = rest.first {
            if quoted ? byte == quote : isBlank(byte) { break }
            rest.removeFirst()
            if byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() {
                bytes.append(escaped)
            } else {
                bytes.append(byte)
            }
        }
        if quoted {
            guard rest.popFirst() != nil else { return nil }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
