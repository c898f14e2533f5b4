import Testing

@testable import Proxy

/// Commands and responses of ManageSieve as values.
@Suite struct ManageSieveTokensTests {
    /// Takes lines apart as a connection would bring them; literals stand in `text` as they do on the wire.
    static func tokens(_ text: String, keepsRaw: Bool = false) -> (ManageSieveTokens, ManageSieveTokens.Step) {
        var words = ManageSieveTokens(keepsRaw: keepsRaw)
        var rest = Array(text.utf8)[...]
        while true {
            let line = Array(rest.prefix { $0 != 10 }.filter { $0 != 13 })
            rest = rest.drop { $0 != 10 }.dropFirst()
            let step = words.take(line: line)
            guard case .literal(let size) = step else { return (words, step) }
            guard words.take(literal: Array(rest.prefix(size))) else { return (words, .tooLong) }
            rest = rest.dropFirst(size)
        }
    }

    static func string(_ text: String) -> ManageSieveTokens.Token { .string(Array(text.utf8)) }
    static func atom(_ text: String) -> ManageSieveTokens.Token { .atom(Array(text.utf8)) }

    static let words: [(String, [ManageSieveTokens.Token])] = [
        ("NOOP", [atom("NOOP")]), ("NOOP \"a b\"", [atom("NOOP"), string("a b")]),
        (#"X "a\"b\\c" "" 10"#, [atom("X"), string(#"a"b\c"#), string(""), atom("10")]),
        ("X {3+}\r\na\"b \"c\"\r\n", [atom("X"), string("a\"b"), string("c")]),
        ("X {3}\r\na\r\n {0+}\r\n\r\n", [atom("X"), string("a\r\n"), string("")]),
        ("OK (TAG {2}\r\nhi) \"x\"", [atom("OK"), .open, atom("TAG"), string("hi"), .close, string("x")]),
        ("X {3+", [atom("X"), atom("{3+")]), ("X {x}", [atom("X"), atom("{x}")]), ("X {}", [atom("X"), atom("{}")]),
        ("X y{3+}", [atom("X"), atom("y{3+}")]), ("X  y ", [atom("X"), atom("y")]), ("", []),
    ]

    @Test(arguments: words)
    func wordsAreTakenApart(text: String, expected: [ManageSieveTokens.Token]) {
        let (words, step) = Self.tokens(text)
        #expect(words.tokens == expected)
        #expect(step == .complete)
        #expect(!words.isMalformed)
    }

    @Test(arguments: [
        " NOOP", "X \"a", #"X "a\"#, #"X "a\""#, "X \"a\"b", "X \"a\"\"b\"", "X\"a\"", "X(y)", "X {1+}\r\na\"b\"",
        "X (y)z",
    ])
    func whatIsNotInTheGrammarIsMarked(text: String) {
        let (words, step) = Self.tokens(text)
        #expect(words.isMalformed)
        #expect(step == .complete)
    }

    @Test func lengthsAreBounded() {
        let most = String(repeating: "x", count: ManageSieveTokens.literalLimit)
        #expect(Self.tokens("X {8192+}\r\n\(most)\r\n").1 == .complete)
        #expect(Self.tokens("X {8193+}\r\n").1 == .tooLong)
        #expect(Self.tokens("X {99999999999999999999999+}\r\n").1 == .tooLong)
        #expect(Self.tokens("X" + String(repeating: " {8192+}\r\n\(most)", count: 3) + "\r\n").1 == .tooLong)
        #expect(Self.tokens("X" + String(repeating: " {0+}\r\n", count: 5000) + "\r\n").1 == .tooLong)
    }

    @Test func rawIsWhatCame() {
        let text = "OK (TAG {2}\r\nhi) \"x\""
        #expect(Self.tokens(text, keepsRaw: true).0.raw.text == text)
        #expect(Self.tokens(text).0.raw.isEmpty)
    }

    static let written: [(String, String)] = [
        ("", "\"\""), ("a b", "\"a b\""), (#"say "hi" \"#, #""say \"hi\" \\""#), ("a\r\nb", "{4}\r\na\r\nb"),
        ("\0", "{1}\r\n\0"), ("\u{e9}", "\"\u{e9}\""),
    ]

    @Test(arguments: written)
    func stringsAreWritten(text: String, written: String) {
        #expect(ManageSieveTokens.string(text.utf8).text == written)
        #expect(Self.tokens(written).0.tokens == [Self.string(text)], "and read back")
    }

    @Test func aLongStringIsALiteral() {
        let most = String(repeating: "\"", count: 1024)
        #expect(ManageSieveTokens.string(most.utf8).first == UInt8(ascii: "\""))
        #expect(ManageSieveTokens.string((most + "x").utf8).text == "{1025}\r\n\(most)x")
    }

    // MARK: Commands

    static func command(_ text: String) -> ManageSieveCommand { ManageSieveCommand(tokens(text).0) }

    @Test func aCommandHasANameAndArguments() {
        let command = Self.command("authenticate \"PLAIN\" {2+}\r\nab")
        #expect(command.name.text == "AUTHENTICATE")
        #expect(command.strings == [Array("PLAIN".utf8), Array("ab".utf8)])
        #expect(command.answer == nil)
        #expect(Self.command("NOOP x").strings == nil)
        #expect(Self.command("NOOP \"x").strings == nil)
        #expect(Self.command("").name.isEmpty)
        #expect(Self.command("\"NOOP\"").name.isEmpty)
    }

    @Test(arguments: [("\"abc\"", "abc"), ("{3+}\r\nabc\r\n", "abc"), ("\"*\"", "*"), ("\"\"", "")])
    func anAnswerIsOneString(text: String, answer: String) {
        #expect(Self.command(text).answer?.text == answer)
    }

    @Test(arguments: ["", "abc", "LOGOUT", "\"a\" \"b\"", "\"a\" b", "\"a", "NOOP \"a\""])
    func anythingElseIsNoAnswer(text: String) {
        #expect(Self.command(text).answer == nil)
    }

    @Test func aWipedCommandHasNoStrings() {
        var command = Self.command("X \"secret\" y")
        command.wipe()
        #expect(!command.arguments.contains(Self.string("secret")))
    }

    // MARK: Responses

    static func response(_ text: String) -> ManageSieveResponse { ManageSieveResponse(tokens(text, keepsRaw: true).0) }

    static let responses: [(String, ManageSieveResponse.Kind, String?, String)] = [
        ("OK", ManageSieveResponse.Kind.ok, nil, ""), ("ok \"hi\"", .ok, nil, "hi"),
        ("NO {2}\r\nhi\r\n", .no, nil, "hi"),
        ("NO (TRYLATER) \"later\"", .no, "TRYLATER", "later"), ("no (trylater)", .no, "TRYLATER", ""),
        ("BYE (REFERRAL \"sieve://b\") \"there\"", .bye, "REFERRAL", "there"),
        ("OK (TAG {1}\r\n)) {1}\r\nx\r\n", .ok, "TAG", "x"), ("NO (A (B \"c\") D) \"x\"", .no, "A", "x"),
        ("NO (QUOTA/MAXSIZE) \"x\"", .no, "QUOTA/MAXSIZE", "x"), ("NO (", .no, nil, ""), ("NO (A \"b\"", .no, "A", ""),
        (#"OK "say "hi"""#, .ok, nil, "say "), ("OK plain", .ok, nil, ""),
        ("\"SASL\" \"PLAIN\"", .data([Array("SASL".utf8), Array("PLAIN".utf8)]), nil, ""),
        ("\"STARTTLS\"", .data([Array("STARTTLS".utf8)]), nil, ""),
        ("{2}\r\nhi\r\n", .data([Array("hi".utf8)]), nil, ""),
        ("\"SASL\" PLAIN", .garbage, nil, ""), ("\"SASL", .garbage, nil, ""), ("", .garbage, nil, ""),
        ("* OK hi", .garbage, nil, ""), ("OKAY", .garbage, nil, ""), ("(OK)", .garbage, nil, ""),
        ("+OK", .garbage, nil, ""),
    ]

    @Test(arguments: responses)
    func aResponseIsUnderstood(text: String, kind: ManageSieveResponse.Kind, code: String?, message: String) {
        let response = Self.response(text)
        #expect(response.kind == kind)
        #expect(response.code?.text == code)
        #expect(response.text.text == message)
    }

    @Test func aResponseKeepsWhatCame() {
        let text = "NO (TRYLATER) {5}\r\nlater"
        #expect(Self.response(text + "\r\n").raw.text == text)
        #expect(Self.response(text).has(code: "TRYLATER"))
        #expect(!Self.response("NO \"x\"").has(code: "TRYLATER"))
    }
}
