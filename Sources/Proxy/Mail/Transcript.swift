/// Lines of `--connection_logging`: who spoke, and what, with passwords masked.
enum Transcript {
    /// One piece of a conversation.
    /// - Parameters:
    ///   - speaker: CLIENT, REAL or SELF.
    ///   - bytes: with or without a line end.
    ///   - masks: whether what may be a password is left out.
    static func line(_ speaker: StaticString, _ bytes: [UInt8], masks: Bool) -> String {
        let label = "\(speaker):"
        let padding = String(repeating: " ", count: max(0, 7 - label.utf8.count))
        return "\(label)\(padding) \"\(escaped(masks ? masked(bytes) : bytes))\""
    }

    /// LOGIN, PASS and AUTH commands without what follows the name; other lines as they are.
    static func masked(_ bytes: [UInt8]) -> [UInt8] {
        let words = bytes.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
        guard let first = words.first else { return bytes }
        let kept: Int
        if ASCII.equal(first, "PASS") {
            kept = 1
        } else if ASCII.equal(first, "AUTHENTICATE") || ASCII.equal(first, "AUTH") {
            kept = 2
        } else if words.count > 1, ASCII.equal(words[1], "LOGIN") || ASCII.equal(words[1], "AUTHENTICATE") {
            kept = 3
        } else {
            return bytes
        }
        guard words.count > kept else { return bytes }
        return Array(words.prefix(kept).joined(separator: [UInt8(ascii: " ")])) + Array(" ***".utf8)
    }

    private static func escaped(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case 13: text.append("\\r")
            case 10: text.append("\\n")
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case 0x20..<0x7f: text.append(byte)
            default:
                text += [UInt8(ascii: "\\"), 48 + (byte >> 6), 48 + (byte >> 3 & 7), 48 + (byte & 7)]
            }
        }
        return text.text
    }
}
