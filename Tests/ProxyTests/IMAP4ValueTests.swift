import Testing

@testable import Proxy

/// Lines of IMAP4 clients and servers as values.
@Suite struct IMAP4ValueTests {
    private func parse(_ line: String) throws(IMAP4Command.Fault) -> IMAP4Command {
        try IMAP4Command(line: Array(line.utf8))
    }

    // MARK: Commands

    @Test(
        arguments: [
            ("a NOOP", "a", "NOOP", nil), ("a noop", "a", "NOOP", nil), ("+ NOOP", "+", "NOOP", nil),
            ("a1.[x= LOGIN joe secret", "a1.[x=", "LOGIN", "joe secret"), ("a NOOP ", "a", "NOOP", ""),
            ("a LOGIN  x", "a", "LOGIN", " x"), ("a LOGIN \"a b\" {3}", "a", "LOGIN", "\"a b\" {3}"),
            ("a *", "a", "*", nil),
        ] as [(String, String, String, String?)])
    func takesTagAndCommandOff(line: String, tag: String, name: String, rest: String?) throws {
        let command = try parse(line)
        #expect(command.tag.text == tag)
        #expect(command.name.text == name)
        #expect(command.rest?.text == rest)
    }

    @Test func knowsLinesWithoutCommand() {
        #expect(throws: IMAP4Command.Fault.missingCommand(tag: Array("a".utf8))) { try parse("a") }
        #expect(throws: IMAP4Command.Fault.nullCommand(tag: Array("a".utf8))) { try parse("a ") }
        #expect(throws: IMAP4Command.Fault.nullCommand(tag: Array("a".utf8))) { try parse("a  NOOP") }
    }

    @Test func refusesWhatNoTagIs() {
        for line in ["", " ", " a NOOP"] {
            #expect(throws: IMAP4Command.Fault.invalidTag) { try parse(line) }
        }
        for byte in UInt8.min...UInt8.max {
            let line = [UInt8(ascii: "a"), byte] + Array(" NOOP".utf8)
            let isBad =
                byte < 0x20 || byte >= 0x7f || Array("(){%*\"\\]".utf8).contains(byte) && byte != UInt8(ascii: "}")
            if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "}") { continue }
            #expect(((try? IMAP4Command(line: line)) == nil) == isBad, "byte \(byte)")
        }
    }

    @Test(
        arguments: [
            ("{3}", 3, true, 0), ("a LOGIN {0}", 0, true, 8), ("x {12+}", 12, false, 2), ("{{5}", 5, true, 1),
            ("{99999999999999999999999}", Int.max, true, 0), ("{9223372036854775808+}", Int.max, false, 0),
            ("{00000000000000000000007}", 7, true, 0),
        ] as [(String, Int, Bool, Int)])
    func findsLiterals(line: String, size: Int, synchronising: Bool, start: Int) throws {
        let found = try #require(IMAP4Command.literal(atEndOf: Array(line.utf8)))
        #expect(found.literal == IMAP4Command.Literal(size: size, synchronising: synchronising))
        #expect(found.start == start)
    }

    @Test(arguments: [
        "", "}", "{}", "{+}", "{-1}", "{1 }", "{1", "{1} ", "{1++}", "{a}", "{0x1}", "{1+", "{\u{661}}", "3}",
    ])
    func findsNoLiteralWhereThereIsNone(line: String) {
        #expect(IMAP4Command.literal(atEndOf: Array(line.utf8)) == nil)
    }

    // MARK: Arguments

    /// All arguments of a line; nil where it cannot be split.
    private func arguments(_ line: String) -> [String]? {
        var parser = IMAP4Arguments(Array(line.utf8))
        var found: [String] = []
        while !parser.atEnd {
            guard let argument = parser.next() else { return nil }
            found.append(argument.text)
            if parser.atEnd { return found }
            guard parser.blank() else { return nil }
            if parser.atEnd { return nil }
        }
        return found
    }

    @Test(
        arguments: [
            ("", []), ("joe", ["joe"]), ("joe secret", ["joe", "secret"]), ("\"\" \"\"", ["", ""]),
            ("\"joe b\" x", ["joe b", "x"]), (#""a\"b\\c""#, [#"a"b\c"#]), (#"a\b"#, [#"a\b"#]),
            ("a\"b c", ["a\"b", "c"]),
            (#""\x""#, ["x"]), ("é ü", ["é", "ü"]),
        ] as [(String, [String])])
    func splitsArguments(line: String, expected: [String]) {
        #expect(arguments(line) == expected)
    }

    @Test(arguments: [" ", " a", "a  b", "a ", "\"", "\"a", "a \"", "\"a\"b", "\"a\"\"b\"", #""a\"#, #""a\""#, "a b "])
    func refusesWhatIsNoListOfArguments(line: String) {
        #expect(arguments(line) == nil)
    }

    // MARK: Responses

    private func response(_ line: String, tag: String = "flim07") -> IMAP4Response {
        IMAP4Response(Array(line.utf8), tag: Array(tag.utf8))
    }

    @Test func tellsResponsesApart() {
        #expect(response("* OK ready") == .untagged(Array("OK ready".utf8)))
        #expect(response("* ") == .untagged([]))
        #expect(response("+ go on") == .continuation(Array("go on".utf8)))
        #expect(response("+") == .continuation([]))
        #expect(response("flim07 OK done") == .completed(Array("OK done".utf8)))
        #expect(response("flim07 ok") == .completed(Array("ok".utf8)))
        #expect(response("flim07 NO [X] no") == .refused(Array("NO [X] no".utf8)))
        #expect(response("flim07 Bad x") == .refused(Array("Bad x".utf8)))
    }

    @Test(arguments: [
        "", "*", "*OK", "flim07", "flim07OK x", "flim08 OK x", "flim07 ", "flim07 OKAY", "flim07  OK", "FLIM07 OK x",
        "x",
    ])
    func callsTheRestGarbage(line: String) {
        #expect(response(line) == .garbage)
    }

    @Test(
        arguments: [
            ("CAPABILITY IMAP4rev1 idle", ["IMAP4REV1", "IDLE"]), ("capability X", ["X"]),
            ("OK [CAPABILITY IMAP4rev1 LITERAL+] hi", ["IMAP4REV1", "LITERAL+"]),
            ("OK [Capability A  B] [x]", ["A", "B"]),
            ("CAPABILITY ", []),
        ] as [(String, [String])])
    func findsCapabilities(text: String, words: [String]) {
        #expect(IMAP4Response.capabilities(in: Array(text.utf8))?.map(\.text) == words)
    }

    @Test(arguments: ["", "OK hi", "OK [ALERT] hi", "OK [CAPABILITY A", "CAPABILITY", "OK [CAPABILITY", "OK ["])
    func findsNoCapabilitiesWhereThereAreNone(text: String) {
        #expect(IMAP4Response.capabilities(in: Array(text.utf8)) == nil)
    }

    @Test func readsResponseCodes() {
        let code: (String) -> String? = { IMAP4Response.code(of: Array($0.utf8))?.text }
        #expect(code("NO [AUTHENTICATIONFAILED] x") == "AUTHENTICATIONFAILED")
        #expect(code("NO [unavailable]") == "UNAVAILABLE")
        #expect(code("NO [REFERRAL imap://x/] y") == "REFERRAL")
        #expect(code("NO [") == "")
        #expect(code("NO x [UNAVAILABLE]") == nil)
        #expect(code("NO") == nil)
        #expect(code("NO ") == nil)
        #expect(code("") == nil)
    }
}
