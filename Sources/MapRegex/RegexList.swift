import Lookup
import QuotedText

/// The rules of a file, ready to match. It belongs to one thread.
struct RegexList {
    /// Something about a line that is not as its writer will have meant it.
    typealias Note = QuotedText.Failure

    private var rules: [RegexRule] = []
    /// Lines that were passed over, or that say more than is used.
    private(set) var notes: [Note] = []

    /// Reads the text of a file.
    /// - Throws: `QuotedText.Failure` where a quote is not closed, or a regular expression is none.
    init(_ text: [UInt8]) throws(QuotedText.Failure) {
        var source = QuotedText(text)
        while !source.isAtEnd {
            let line = source.line
            var words = try Self.words(&source)
            // A blank ahead of the colon, which the original takes for the server.
            if words.count > 2, words[1] == [UInt8(ascii: ":")] { words.remove(at: 1) }
            guard var pattern = words.first else { continue }
            if pattern.last == UInt8(ascii: ":") { pattern.removeLast() }
            guard words.count > 1, !pattern.isEmpty, !words[1].isEmpty else {
                notes.append(Note(line: line, reason: "not of the form 'expression: server', ignored"))
                continue
            }
            if words.count > 2 { notes.append(Note(line: line, reason: "all behind the second word is ignored")) }
            rules.append(try RegexRule(line: line, pattern: pattern, substitution: words[1]))
        }
    }

    /// The words of the next line, joined with those it continues on.
    private static func words(_ source: inout QuotedText) throws(QuotedText.Failure) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var isInside = false
        while true {
            let token = try source.token()
            if case .end = token { return words }
            if case .byte(let byte, bare: true) = token, QuotedText.isBlank(byte) {
                isInside = false
                continue
            }
            if case .join = token { continue }
            if !isInside { words.append([]) }
            isInside = true
            if case .byte(let byte, bare: _) = token { words[words.count - 1].append(byte) }
        }
    }

    /// How many rules there are.
    var count: Int { rules.count }

    /// The answer of the first rule that matches. Nothing matches an empty key, as in the original.
    func lookup(_ key: [UInt8]) -> Answer {
        if key.isEmpty { return .notFound }
        if key.contains(0) { return .permanent("a key with a NUL byte cannot be matched") }
        for rule in rules {
            if let answer = rule.answer(key) { return answer }
        }
        return .notFound
    }
}
