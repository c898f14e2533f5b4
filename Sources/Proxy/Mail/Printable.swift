/// Text from outside, made fit for a log line.
enum Printable {
    /// Longest piece of foreign text in a log line, in bytes.
    static let limit = 160

    /// Control characters and what is not UTF-8 as octal, quotes and backslashes escaped; cut at `limit`.
    static func text(_ bytes: some Collection<UInt8>) -> String {
        let shown = escaped(bytes.prefix(limit))
        return bytes.count > limit ? shown + "…" : shown
    }

    /// As above, uncut: for names in Auth lines.
    static func escaped(_ bytes: some Collection<UInt8>) -> String {
        let plain = bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        if plain { return String(decoding: bytes, as: UTF8.self) }
        let text = String(validating: bytes, as: UTF8.self)
        var shown: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                shown.append(UInt8(ascii: "\\"))
                shown.append(byte)
            case 0x20..<0x7f: shown.append(byte)
            case 0x80... where text != nil: shown.append(byte)
            default:
                shown.append(UInt8(ascii: "\\"))
                shown.append(UInt8(ascii: "0") + (byte >> 6))
                shown.append(UInt8(ascii: "0") + (byte >> 3 & 7))
                shown.append(UInt8(ascii: "0") + (byte & 7))
            }
        }
        return String(decoding: shown, as: UTF8.self)
    }
}
