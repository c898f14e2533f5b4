/// Bytes as ASCII, whatever the locale.
enum ASCII {
    /// A letter in upper case; everything else as it is.
    static func upper(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") ? byte - 32 : byte
    }

    /// A letter in lower case; everything else as it is.
    static func lower(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte + 32 : byte
    }

    /// A decimal number, capped at `Int.max`; nil where anything but digits occurs.
    static func number(_ digits: some Collection<UInt8>) -> Int? {
        guard !digits.isEmpty else { return nil }
        var value = 0
        for byte in digits {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (product, over) = value.multipliedReportingOverflow(by: 10)
            let (sum, more) = product.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            value = over || more ? Int.max : sum
            if value == Int.max { continue }
        }
        return value
    }

    /// Whether text equals a word in upper case, in any case.
    static func equal(_ text: some Collection<UInt8>, _ word: StaticString) -> Bool {
        word.withUTF8Buffer { word in text.count == word.count && zip(text, word).allSatisfy { upper($0) == $1 } }
    }

    /// Whether text, in any case, is the beginning of a word in upper case.
    static func isPrefix(_ text: some Collection<UInt8>, of word: StaticString) -> Bool {
        word.withUTF8Buffer { word in text.count <= word.count && zip(text, word).allSatisfy { upper($0) == $1 } }
    }

    /// Whether text begins with a word in upper case, in any case.
    static func begins(_ text: some Collection<UInt8>, _ word: StaticString) -> Bool {
        word.withUTF8Buffer { word in text.count >= word.count && zip(text, word).allSatisfy { upper($0) == $1 } }
    }
}

extension Collection<UInt8> {
    /// As text; what is not UTF-8 is replaced.
    var text: String { String(decoding: self, as: UTF8.self) }
}
