/// Bytes from anywhere in a line that has tabs between its cells: control characters and backslashes are escaped, so that
/// nothing a client calls itself ends a line or moves a cursor.
public enum ControlText {
    /// `\\`, `\t`, `\n` and `\xNN`; UTF-8 stays, what is none is escaped.
    public static func escaped(_ bytes: some Collection<UInt8>) -> String {
        let isText = String(validating: bytes, as: UTF8.self) != nil
        guard !isText || bytes.contains(where: { $0 < 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "\\") }) else {
            return String(decoding: bytes, as: UTF8.self)
        }
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"): text += [byte, byte]
            case UInt8(ascii: "\t"): text += Array(#"\t"#.utf8)
            case UInt8(ascii: "\n"): text += Array(#"\n"#.utf8)
            case 0x20..<0x7f: text.append(byte)
            case 0x80... where isText: text.append(byte)
            default: text += Array(#"\x"#.utf8) + [digit(byte >> 4), digit(byte & 15)]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// What ``escaped(_:)`` was made of; a backslash followed by anything else stands for itself.
    public static func plain(_ text: some Collection<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let code = rest.first else {
                bytes.append(byte)
                continue
            }
            switch code {
            case UInt8(ascii: "\\"): bytes.append(code)
            case UInt8(ascii: "t"): bytes.append(9)
            case UInt8(ascii: "n"): bytes.append(10)
            case UInt8(ascii: "x"):
                let digits = rest.dropFirst().prefix(2).compactMap(value)
                guard digits.count == 2 else {
                    bytes.append(byte)
                    continue
                }
                bytes.append(digits[0] << 4 | digits[1])
                rest = rest.dropFirst(2)
            default:
                bytes.append(byte)
                continue
            }
            rest = rest.dropFirst()
        }
        return bytes
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
