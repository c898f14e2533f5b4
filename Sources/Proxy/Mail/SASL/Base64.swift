/// Base64 (RFC 4648 section 4), read strictly: padded, nothing foreign between the digits, no bits left over. A sloppy
/// reading would try a password that nobody gave.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let pad = UInt8(ascii: "=")

    /// Appends bytes as Base64 in one piece, so that a caller who reserved the room can wipe all of it.
    static func append(_ bytes: some Collection<UInt8>, to text: inout [UInt8]) {
        text.reserveCapacity(text.count + encodedSize(bytes.count))
        var group: UInt32 = 0
        var held = 0
        for byte in bytes {
            group = group << 8 | UInt32(byte)
            held += 1
            guard held == 3 else { continue }
            append(group, digits: 4, to: &text)
            group = 0
            held = 0
        }
        guard held > 0 else { return }
        append(group << UInt32(8 * (3 - held)), digits: held + 1, to: &text)
        for _ in held..<3 { text.append(pad) }
    }

    /// How many characters so many bytes make.
    static func encodedSize(_ count: Int) -> Int {
        (count + 2) / 3 * 4
    }

    /// Whether text looks like Base64: nothing but its characters. It may be nothing at all.
    static func isText(_ text: [UInt8]) -> Bool {
        text.allSatisfy { value(of: $0) != nil || $0 == pad }
    }

    /// The bytes; nil where the text is not Base64. The caller wipes them.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count.isMultiple(of: 4) else { return nil }
        let padding = text.reversed().prefix(2).prefix { $0 == pad }.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var group: UInt32 = 0
        var bits = 0
        for digit in text.dropLast(padding) {
            guard let value = value(of: digit) else {
                bytes.wipe()
                return nil
            }
            group = (group << 6 | value) & 0xffff
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            bytes.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
        }
        guard group & (1 << UInt32(bits) - 1) == 0 else {
            bytes.wipe()
            return nil
        }
        return bytes
    }

    private static func append(_ group: UInt32, digits count: Int, to text: inout [UInt8]) {
        for place in 0..<count { text.append(digits[Int(group >> UInt32(18 - 6 * place) & 63)]) }
    }

    private static func value(of digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
