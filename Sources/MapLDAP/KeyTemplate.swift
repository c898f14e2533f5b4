import Lookup
import Provider

/// A part of the URL in which `%s` and `%<width>s` stand for the key.
struct KeyTemplate: Equatable, Sendable {
    /// What a template is made of.
    enum Piece: Equatable, Sendable {
        /// Bytes as they are, percent-decoded.
        case text([UInt8])
        /// The key, with blanks ahead of it up to this width in bytes.
        case key(width: Int)
    }

    private(set) var pieces: [Piece] = []

    /// Reads percent-encoded text.
    /// - Parameters:
    ///   - encoded: a part of the URL. `%20s` is the key, 20 bytes wide, rather than a blank and an s, as it always was.
    ///   - part: its name, for errors; they do not quote the text.
    /// - Throws: `ConfigurationError` where a percent sign begins neither a placeholder nor two hexadecimal digits, or a
    ///   width is beyond any key.
    init(_ encoded: Substring, _ part: String) throws(ConfigurationError) {
        var rest = encoded.utf8[...]
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                text.append(byte)
                continue
            }
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            if rest.dropFirst(digits.count).first == UInt8(ascii: "s") {
                let width = digits.isEmpty ? 0 : Int(String(Substring(digits))) ?? .max
                guard width <= Limits.key else {
                    throw ConfigurationError("the width of a %s in the URL's \(part) is more than \(Limits.key)")
                }
                if !text.isEmpty { pieces.append(.text(text)) }
                text = []
                pieces.append(.key(width: width))
                rest = rest.dropFirst(digits.count + 1)
            } else if let decoded = Self.byte(rest.prefix(2)), decoded != 0 {
                text.append(decoded)
                rest = rest.dropFirst(2)
            } else {
                throw ConfigurationError(
                    "a % in the URL's \(part) is followed by neither s, digits and s, nor two hexadecimal digits (of a "
                        + "byte that is not 0)")
            }
        }
        if !text.isEmpty { pieces.append(.text(text)) }
    }

    /// Percent-decoded text in which `%s` is nothing special.
    /// - Returns: nil where a percent sign is not followed by two hexadecimal digits of a byte that is not 0.
    static func decode(_ encoded: Substring) -> [UInt8]? {
        var rest = encoded.utf8[...]
        var text: [UInt8] = []
        text.reserveCapacity(rest.count)
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                text.append(byte)
                continue
            }
            guard let decoded = Self.byte(rest.prefix(2)), decoded != 0 else { return nil }
            text.append(decoded)
            rest = rest.dropFirst(2)
        }
        return text
    }

    /// The byte two hexadecimal digits stand for.
    private static func byte(_ digits: Substring.UTF8View) -> UInt8? {
        let values = digits.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == 2, values.count == 2 else { return nil }
        return UInt8(truncatingIfNeeded: values[0] << 4 | values[1])
    }

    /// Whether the key is in it.
    var usesKey: Bool {
        pieces.contains { if case .key = $0 { true } else { false } }
    }

    /// The text where there is no key in it.
    var text: [UInt8]? {
        usesKey ? nil : expand([])
    }

    /// The text with the key in it, escaped for a DN (RFC 4514, 2.4) as well as a filter (RFC 4515, 3): both take
    /// `\` and two hexadecimal digits for any byte.
    func expand(_ key: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for piece in pieces {
            switch piece {
            case .text(let text): result.append(contentsOf: text)
            case .key(let width):
                for _ in key.count..<max(key.count, width) { Self.escape(UInt8(ascii: " "), to: &result) }
                for byte in key { Self.escape(byte, to: &result) }
            }
        }
        return result
    }

    /// Appends one byte of a key. What is not plainly harmless is escaped, so that no list can be incomplete.
    private static func escape(_ byte: UInt8, to result: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "@"):
            result.append(byte)
        default:
            result.append(UInt8(ascii: "\\"))
            for digit in [byte >> 4, byte & 15] {
                result.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
    }
}
