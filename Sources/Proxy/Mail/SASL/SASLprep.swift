/// Names made comparable (SASLprep, RFC 4013), without the parts that need tables of their own: NFKC (2.2), the rule
/// about text in both directions (2.4) and code points that Unicode 3.2 has not assigned (2.5) are left to the real
/// server, which gets the name as it came.
enum SASLprep {
    /// The prepared form; nil where the name is not UTF-8 or holds a character that names must not have (2.3).
    static func prepare(_ name: some Collection<UInt8>) -> [UInt8]? {
        if name.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return Array(name) }
        guard let text = String(validating: name, as: UTF8.self) else { return nil }
        var prepared: [UInt8] = []
        prepared.reserveCapacity(name.count)
        for scalar in text.unicodeScalars {
            if isNothing(scalar.value) { continue }
            if isSpace(scalar.value) {
                prepared.append(0x20)
                continue
            }
            guard !isProhibited(scalar.value) else { return nil }
            prepared.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
        }
        return prepared
    }

    /// What is left out: RFC 3454, table B.1.
    private static func isNothing(_ code: UInt32) -> Bool {
        switch code {
        case 0x00ad, 0x034f, 0x1806, 0x180b...0x180d, 0x200b...0x200d, 0x2060, 0xfe00...0xfe0f, 0xfeff: true
        default: false
        }
    }

    /// What becomes a blank: table C.1.2 (U+200B is in B.1 as well, which goes first).
    private static func isSpace(_ code: UInt32) -> Bool {
        switch code {
        case 0x00a0, 0x1680, 0x2000...0x200a, 0x202f, 0x205f, 0x3000: true
        default: false
        }
    }

    /// Controls, private use, non-characters, unfit for text or for a canonical form, changing the display, tags: tables
    /// C.2 to C.9. Surrogates (C.5) are no UTF-8.
    private static func isProhibited(_ code: UInt32) -> Bool {
        switch code {
        case 0...0x1f, 0x7f...0x9f, 0x06dd, 0x070f, 0x180e, 0x2028, 0x2029, 0x2061...0x2063, 0x206a...0x206f,
            0x1d173...0x1d17a:
            true
        case 0xe000...0xf8ff, 0xf0000...0xffffd, 0x100000...0x10fffd: true
        case 0xfdd0...0xfdef, 0xfff9...0xfffd: true
        case 0x2ff0...0x2ffb, 0x0340, 0x0341, 0x200e, 0x200f, 0x202a...0x202e: true
        case 0xe0001, 0xe0020...0xe007f: true
        default: code & 0xfffe == 0xfffe
        }
    }
}
