/// A configuration file taken apart into keys and values, byte by byte, as vanessa_adt does it for the C perdition:
/// quotes, backslashes and comments mean the same. What that library loses is kept: the last line without a line
/// end, lines that begin with a blank, long values.
struct ConfigurationFile {
    /// One line that sets something.
    struct Entry: Equatable {
        /// Where its key stands, from 1.
        let line: Int
        let key: String
        /// What follows the key; nil when nothing does, not even a pair of quotes.
        let value: String?
    }

    /// Larger files are something else given by mistake.
    static let maximumSize = 1 << 20

    private(set) var entries: [Entry] = []
    private let path: String
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    /// Takes `bytes` apart. Throws, with `path` and line, for what no grammar can save: an open quote, NUL bytes, text
    /// that is not UTF-8.
    init(path: String, bytes: [UInt8]) throws(OptionError) {
        self.path = path
        self.bytes = bytes
        while position < bytes.count {
            if let entry = try entry() { entries.append(entry) }
        }
    }

    /// One byte of a line after quotes and backslashes have done their work.
    private enum Token {
        /// Part of the text; `bare` where it stood without quote and backslash.
        case byte(UInt8, bare: Bool)
        /// A quote was opened: even an empty value is a value.
        case quote
        /// The line goes on in the next; blanks ahead of that stay.
        case join
        case end
    }

    private var quote: UInt8?

    /// The next line, joined with those it continues on; nil when it sets nothing.
    private mutating func entry() throws(OptionError) -> Entry? {
        var first = line
        var key: [UInt8] = []
        var value: [UInt8] = []
        var kept = 0
        var state = Part.blanksBeforeKey
        var hasValue = false
        while true {
            let here = line
            let token = try token()
            switch (state, token) {
            case (.blanksBeforeKey, .end): return nil
            case (.blanksBeforeKey, .join), (.key, .join), (.value, .join): kept = value.count
            case (_, .end):
                return Entry(
                    line: first, key: try text(key, line: first),
                    value: hasValue ? try text(Array(value.prefix(kept)), line: first) : nil)
            case (.blanksBeforeKey, .byte(let byte, bare: true)) where Self.isBlank(byte): break
            case (.blanksBeforeKey, .quote):
                first = here
                state = .key
            case (.blanksBeforeKey, .byte(let byte, bare: _)):
                first = here
                key.append(byte)
                state = .key
            case (.key, .byte(let byte, bare: true)) where Self.isBlank(byte): state = .value
            case (.key, .byte(let byte, bare: _)): key.append(byte)
            case (.key, .quote): break
            case (.value, .quote):
                hasValue = true
                kept = value.count
            case (.value, .byte(let byte, bare: true)) where Self.isBlank(byte):
                if hasValue { value.append(byte) }
            case (.value, .byte(let byte, bare: _)):
                hasValue = true
                value.append(byte)
                kept = value.count
            }
        }
    }

    private enum Part { case blanksBeforeKey, key, value }

    /// The next byte of this line. A comment, a continued line and a line end inside quotes are gone already.
    private mutating func token() throws(OptionError) -> Token {
        while let byte = take() {
            switch byte {
            case 0:
                throw OptionError("\(path):\(line): a NUL byte: is this a text file?")
            case UInt8(ascii: "\\") where quote != UInt8(ascii: "'"):
                guard let next = take() else { return .end }
                if next == UInt8(ascii: "\n") { return .join }
                return .byte(next, bare: false)
            case UInt8(ascii: "\n"):
                if quote == nil { return .end }
            case _ where byte == quote:
                quote = nil
            case UInt8(ascii: "'") where quote == nil, UInt8(ascii: "\"") where quote == nil:
                quote = byte
                return .quote
            case UInt8(ascii: "#") where quote == nil:
                skipComment()
                return .end
            default:
                return .byte(byte, bare: quote == nil)
            }
        }
        guard quote == nil else { throw OptionError("\(path):\(line): a quote is opened and never closed") }
        return .end
    }

    /// A backslash carries a comment on to the next line, too.
    private mutating func skipComment() {
        while let byte = take() {
            if byte == UInt8(ascii: "\\") { _ = take() }
            if byte == UInt8(ascii: "\n") { return }
        }
    }

    /// The next byte; CR, LF and CR LF are one line end each.
    private mutating func take() -> UInt8? {
        guard position < bytes.count else { return nil }
        let byte = bytes[position]
        position += 1
        guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") else { return byte }
        if byte == UInt8(ascii: "\r"), position < bytes.count, bytes[position] == UInt8(ascii: "\n") { position += 1 }
        line += 1
        return UInt8(ascii: "\n")
    }

    private func text(_ bytes: [UInt8], line: Int) throws(OptionError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw OptionError("\(path):\(line): the line is not UTF-8")
        }
        return text
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }
}
