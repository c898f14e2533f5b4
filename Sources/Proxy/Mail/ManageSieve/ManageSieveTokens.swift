/// The words of one ManageSieve command or response (RFC 5804 section 4), which goes over several lines where literals
/// end them.
///
/// Values only: lines are given without their end; a literal is announced, and brought by the caller.
struct ManageSieveTokens: Equatable {
    /// One word.
    enum Token: Equatable {
        /// A bare word or number.
        case atom([UInt8])
        /// A quoted string or a literal.
        case string([UInt8])
        /// `(`
        case open
        /// `)`
        case close
    }

    /// What has to come next.
    enum Step: Equatable {
        /// Nothing: this was all of it.
        case complete
        /// So many bytes, and then another line.
        case literal(Int)
        /// More than anybody has to say before the login.
        case tooLong
    }

    /// Most bytes of a literal before the login: an initial response with the largest tokens in use fits.
    static let literalLimit = 8192
    /// Most bytes of all lines and literals together.
    static let limit = 16 * 1024

    /// The words so far.
    private(set) var tokens: [Token] = []
    /// Whether something is no word: a quote without end, a word behind a word without a blank.
    private(set) var isMalformed = false
    /// Everything as it came, line ends only inside; nothing where it is not kept.
    private(set) var raw: [UInt8] = []

    private let keepsRaw: Bool
    private var size = 0
    /// A word has just ended: only a blank, a closing parenthesis or the end may follow.
    private var needsGap = false

    /// Nothing yet.
    /// - Parameter keepsRaw: whether `raw` is wanted; it may hold secrets.
    init(keepsRaw: Bool = false) {
        self.keepsRaw = keepsRaw
    }

    /// Takes the first line, or the one behind a literal.
    mutating func take(line: [UInt8]) -> Step {
        guard fits(line.count) else { return .tooLong }
        if keepsRaw { raw += line }
        if tokens.isEmpty, line.first == UInt8(ascii: " ") {
            tokens.append(.atom([]))
            isMalformed = true
        }
        var index = 0
        while index < line.count {
            switch line[index] {
            case UInt8(ascii: " "):
                needsGap = false
                index += 1
            case UInt8(ascii: ")"):
                tokens.append(.close)
                needsGap = true
                index += 1
            case UInt8(ascii: "("):
                begin()
                tokens.append(.open)
                needsGap = false
                index += 1
            case UInt8(ascii: "\""):
                begin()
                index = takeQuoted(line, from: index)
            case UInt8(ascii: "{"):
                begin()
                if let count = Self.literalSize(line[index...]) {
                    guard count <= Self.literalLimit else { return .tooLong }
                    if keepsRaw { raw.append("\r\n") }
                    return .literal(count)
                }
                index = takeAtom(line, from: index)
            default:
                begin()
                index = takeAtom(line, from: index)
            }
        }
        return .complete
    }

    /// Takes the literal that a line announced; another line follows. False where it is too long.
    mutating func take(literal: [UInt8]) -> Bool {
        guard fits(literal.count) else { return false }
        if keepsRaw { raw += literal }
        tokens.append(.string(literal))
        return true
    }

    private mutating func fits(_ count: Int) -> Bool {
        size += count
        return size <= Self.limit
    }

    private mutating func begin() {
        if needsGap { isMalformed = true }
        needsGap = true
    }

    private mutating func takeAtom(_ line: [UInt8], from start: Int) -> Int {
        let end =
            line[(start + 1)...].firstIndex {
                $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "(")
                    || $0 == UInt8(ascii: ")")
            } ?? line.count
        tokens.append(.atom([UInt8](line[start..<end])))
        return end
    }

    private mutating func takeQuoted(_ line: [UInt8], from start: Int) -> Int {
        var text: [UInt8] = []
        text.reserveCapacity(line.count - start)
        var index = start + 1
        while index < line.count, line[index] != UInt8(ascii: "\"") {
            if line[index] == UInt8(ascii: "\\"), index + 1 < line.count { index += 1 }
            text.append(line[index])
            index += 1
        }
        if index == line.count { isMalformed = true }
        tokens.append(.string(text))
        return min(index + 1, line.count)
    }

    /// `{n+}` or `{n}` at the end of a line. Only servers write the second; clients that do so do not wait either.
    private static func literalSize(_ text: ArraySlice<UInt8>) -> Int? {
        guard text.last == UInt8(ascii: "}") else { return nil }
        let digits = text.dropFirst().dropLast()
        return ASCII.number(digits.last == UInt8(ascii: "+") ? digits.dropLast() : digits)
    }

    // MARK: Writing

    /// Longest text in bytes that a quoted string may hold (RFC 5804 section 4, `quoted`).
    static let quotedLimit = 1024

    /// Text as a string for a client: quoted where a quoted string can hold it, else a literal.
    static func string(_ text: some Collection<UInt8>) -> [UInt8] {
        guard text.count <= quotedLimit, text.allSatisfy({ $0 != 0 && $0 != 10 && $0 != 13 }) else {
            return Array("{\(text.count)}\r\n".utf8) + text
        }
        var quoted = [UInt8(ascii: "\"")]
        for byte in text {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { quoted.append("\\") }
            quoted.append(byte)
        }
        quoted.append("\"")
        return quoted
    }
}
