/// Lines of `--connection_logging`: who spoke, and what, with passwords masked.
struct Transcript {
    private let peer: StaticString
    private let masks: Bool
    /// Whether the next piece we send belongs to a login that is not complete yet.
    private var sendsSecret = false
    /// The same for the next piece of the peer.
    private var receivesSecret = false

    /// The transcript of one connection.
    /// - Parameters:
    ///   - peer: CLIENT or REAL.
    ///   - masks: whether what may be a password is left out.
    init(_ peer: StaticString, masks: Bool) {
        self.peer = peer
        self.masks = masks
    }

    /// The log line for one piece of the conversation.
    /// - Parameters:
    ///   - sent: whether it is our own.
    ///   - bytes: with their line end.
    mutating func line(sent: Bool, _ bytes: [UInt8]) -> String {
        let label = "\(sent ? "SELF" : peer):"
        let padding = String(repeating: " ", count: max(0, 7 - label.utf8.count))
        return "\(label)\(padding) \"\(Self.escaped(masks ? masked(bytes, sent: sent) : bytes))\""
    }

    private mutating func masked(_ bytes: [UInt8], sent: Bool) -> [UInt8] {
        let end = bytes.lastIndex { $0 != 13 && $0 != 10 }.map { $0 + 1 } ?? 0
        // As the reader of lines has it, or a stray CR would make another word of PASS.
        let text = bytes[..<end].filter { $0 != 13 }
        let words = text.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
        let isRest = sent ? sendsSecret : receivesSecret
        // An answer that does not ask for more: the other end will not go on with its login.
        if let first = bytes.first, !"+*\"{".utf8.contains(first) {
            if sent { receivesSecret = false } else { sendsSecret = false }
        }
        guard let kept = isRest ? 0 : Self.wordsAheadOfSecret(words) else { return bytes }
        // Mechanisms ask more than once, so a response is followed by another until the other end answers.
        let goesOn =
            isRest || bytes[..<end].last == UInt8(ascii: "}") || words.count == kept
            || (words.count > kept && Self.beginsExchange(words))
        if sent { sendsSecret = goesOn } else { receivesSecret = goesOn }
        guard words.count > kept else { return bytes }
        let head = words.prefix(kept).flatMap { $0 + [UInt8(ascii: " ")] }
        return head + Array("***".utf8) + bytes[end...]
    }

    /// How many words of a login command may be shown; nil where the line is none.
    private static func wordsAheadOfSecret(_ words: [ArraySlice<UInt8>]) -> Int? {
        guard let first = words.first else { return nil }
        if ASCII.equal(first, "PASS") { return 1 }
        if isExchange(first) { return words.count > 1 && !isMechanism(words[1]) ? 1 : 2 }
        guard words.count > 1 else { return nil }
        if isExchange(words[1]) { return words.count > 2 && !isMechanism(words[2]) ? 2 : 3 }
        guard ASCII.equal(words[1], "LOGIN") else { return nil }
        // The name is left out as well where the password is in the same word: behind a quote that no blank follows.
        return words.count > 2 && words[2].dropFirst().dropLast().contains(UInt8(ascii: "\"")) ? 2 : 3
    }

    private static func isExchange(_ word: ArraySlice<UInt8>) -> Bool {
        ASCII.equal(word, "AUTHENTICATE") || ASCII.equal(word, "AUTH")
    }

    /// Whether a word is the name of a mechanism (RFC 4422 section 3.1), in quotes or not: nothing else is shown, as a
    /// client that gets the line wrong may have the response in the same word.
    private static func isMechanism(_ word: ArraySlice<UInt8>) -> Bool {
        var name = word
        if name.count > 1, name.first == UInt8(ascii: "\""), name.last == UInt8(ascii: "\"") {
            name = name.dropFirst().dropLast()
        }
        return name.count <= 20
            && name.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }

    /// Whether a line that holds a secret begins an exchange with more of them.
    private static func beginsExchange(_ words: [ArraySlice<UInt8>]) -> Bool {
        words.prefix(2).contains(where: isExchange)
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
