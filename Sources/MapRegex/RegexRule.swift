import Glibc
import Lookup
import QuotedText

/// One regular expression (POSIX, extended) and what becomes of a key that it matches.
final class RegexRule {
    private enum Piece {
        case text([UInt8])
        /// What a group matched; 0 for the whole.
        case group(Int)
    }

    /// Groups a substitution can name, the whole match included.
    private static let groups = 10

    private let expression: UnsafeMutablePointer<regex_t>
    private let pieces: [Piece]

    /// As the original has it: `^` and `$` match at a line end within a key, too, and `.` does not match one.
    private static let flags = REG_EXTENDED | REG_NEWLINE

    /// Compiles an expression.
    /// - Parameter line: where it stands, for errors.
    /// - Throws: `QuotedText.Failure` where it is none.
    init(line: Int, pattern: [UInt8], substitution: [UInt8]) throws(QuotedText.Failure) {
        let expression = UnsafeMutablePointer<regex_t>.allocate(capacity: 1)
        unsafe expression.initialize(to: regex_t())
        let code = unsafe (pattern + [0]).withUnsafeBytes {
            unsafe regcomp(expression, $0.assumingMemoryBound(to: CChar.self).baseAddress, Self.flags)
        }
        guard code == 0 else {
            var room = [CChar](repeating: 0, count: 256)
            let length = unsafe regerror(code, expression, &room, room.count)
            unsafe expression.deallocate()
            let bytes = room.prefix(Int(max(1, min(length, 256))) - 1).map { UInt8(bitPattern: $0) }
            throw QuotedText.Failure(
                line: line, reason: "no regular expression: \(String(decoding: bytes, as: UTF8.self))")
        }
        unsafe self.expression = expression
        pieces = Self.pieces(substitution, groups: unsafe min(Int(expression.pointee.re_nsub), Self.groups - 1))
    }

    deinit {
        unsafe regfree(expression)
        unsafe expression.deallocate()
    }

    /// Takes a substitution apart. A `$` that no group of the expression belongs to is a `$`, as in the original.
    private static func pieces(_ substitution: [UInt8], groups: Int) -> [Piece] {
        var pieces: [Piece] = []
        var text: [UInt8] = []
        var index = 0
        while index < substitution.count {
            let byte = substitution[index]
            if byte == UInt8(ascii: "$"), index + 1 < substitution.count {
                let number = Int(substitution[index + 1]) - Int(UInt8(ascii: "0"))
                if (0...groups).contains(number) {
                    pieces.append(.text(text))
                    pieces.append(.group(number))
                    text = []
                    index += 2
                    continue
                }
            }
            text.append(byte)
            index += 1
        }
        return pieces + [.text(text)]
    }

    /// What a key leads to; nil where it does not match.
    ///
    /// What stands ahead of the match stays ahead of the substitution, and what is behind it goes: so does the original,
    /// and lists that keep a user's name with `@.*: @server` live on it.
    /// - Parameter key: bytes without a NUL.
    func answer(_ key: [UInt8]) -> Answer? {
        var matches = [regmatch_t](repeating: regmatch_t(), count: Self.groups)
        let code = unsafe (key + [0]).withUnsafeBytes {
            unsafe regexec(
                expression, $0.assumingMemoryBound(to: CChar.self).baseAddress, matches.count, &matches, 0)
        }
        if code == Int32(_REG_NOMATCH.rawValue) { return nil }
        guard code == 0 else { return .temporary("a regular expression needs too much memory for this key") }
        var value = Array(key.prefix(Int(matches[0].rm_so)))
        for piece in pieces {
            switch piece {
            case .text(let text): value += text
            case .group(let number):
                let match = matches[number]
                guard match.rm_so >= 0, match.rm_eo >= match.rm_so, Int(match.rm_eo) <= key.count else { continue }
                value += key[Int(match.rm_so)..<Int(match.rm_eo)]
            }
            guard value.count <= Limits.reply else { return .permanent("the value is longer than a reply may be") }
        }
        return .found(value)
    }
}
