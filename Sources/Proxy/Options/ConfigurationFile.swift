import QuotedText

/// A configuration file taken apart into keys and values, as vanessa_adt does it for the C perdition: quotes,
/// backslashes and comments mean the same. What that library loses is kept: the last line without a line end, lines that
/// begin with a blank, long values.
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
    private var source: QuotedText

    /// Takes `bytes` apart. Throws, with `path` and line, for what no grammar can save: an open quote, NUL bytes, text
    /// that is not UTF-8.
    init(path: String, bytes: [UInt8]) throws(OptionError) {
        var fault: OptionError?
        self.init(path: path, bytes: bytes, fault: &fault)
        if let fault { throw fault }
    }

    /// Takes `bytes` apart up to what no grammar can save.
    /// - Parameter fault: what that is.
    init(path: String, bytes: [UInt8], fault: inout OptionError?) {
        self.path = path
        source = QuotedText(bytes)
        do throws(OptionError) {
            while !source.isAtEnd {
                if let entry = try entry() { entries.append(entry) }
            }
        } catch {
            fault = error
        }
    }

    /// The next line, joined with those it continues on; nil when it sets nothing.
    private mutating func entry() throws(OptionError) -> Entry? {
        var first = source.line
        var key: [UInt8] = []
        var value: [UInt8] = []
        var kept = 0
        var state = Part.blanksBeforeKey
        var hasValue = false
        while true {
            let here = source.line
            let token = try token()
            switch (state, token) {
            case (.blanksBeforeKey, .end): return nil
            case (.blanksBeforeKey, .join), (.key, .join), (.value, .join): kept = value.count
            case (_, .end):
                return Entry(
                    line: first, key: try text(key, line: first),
                    value: hasValue ? try text(Array(value.prefix(kept)), line: first) : nil)
            case (.blanksBeforeKey, .byte(let byte, bare: true)) where QuotedText.isBlank(byte): break
            case (.blanksBeforeKey, .quote):
                first = here
                state = .key
            case (.blanksBeforeKey, .byte(let byte, bare: _)):
                first = here
                key.append(byte)
                state = .key
            case (.key, .byte(let byte, bare: true)) where QuotedText.isBlank(byte): state = .value
            case (.key, .byte(let byte, bare: _)): key.append(byte)
            case (.key, .quote): break
            case (.value, .quote):
                hasValue = true
                kept = value.count
            case (.value, .byte(let byte, bare: true)) where QuotedText.isBlank(byte):
                if hasValue { value.append(byte) }
            case (.value, .byte(let byte, bare: _)):
                hasValue = true
                value.append(byte)
                kept = value.count
            }
        }
    }

    private enum Part { case blanksBeforeKey, key, value }

    /// The next byte of this line, with the path where it cannot be had.
    private mutating func token() throws(OptionError) -> QuotedText.Token {
        do throws(QuotedText.Failure) {
            return try source.token()
        } catch {
            throw OptionError("\(path):\(error.line): \(error.reason)")
        }
    }

    private func text(_ bytes: [UInt8], line: Int) throws(OptionError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw OptionError("\(path):\(line): the line is not UTF-8")
        }
        return text
    }
}
