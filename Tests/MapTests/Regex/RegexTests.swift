import CLinux
import Foundation
import Lookup
import QuotedText
import Testing

@testable import MapRegex

/// perdition-map-regex: the file's grammar, the matching, and what becomes of keys that never end.
struct RegexTests {
    private let scratch: Scratch
    private static let provider = "\(Tool.products)/perdition-map-regex"

    init() throws {
        scratch = try Scratch()
        try Tool.require(Self.provider)
    }

    private static func lookup(_ text: String, _ key: String) throws -> Answer {
        try RegexList(Array(text.utf8)).lookup(Array(key.utf8))
    }

    // MARK: - Values

    private static let answers: [(text: String, key: String, answer: Answer)] = [
        ("^joe$: h\n", "joe", .found("h")), ("^joe$: h\n", "joey", .notFound),
        ("^joe$ h\n", "joe", .found("h")), ("^joe$:\th", "joe", .found("h")),
        ("a: one\n^a: two\n", "a", .found("one")), ("^b: one\n^a: two\n", "a", .found("two")),
        ("(.*)@(.*): $1_$2@h:143\n", "joe@x", .found("joe_x@h:143")),
        ("(.*)@(.*): $0$3$$$\n", "joe@x", .found("joe@x$3$$$")), ("a(b)?: [$1]\n", "a", .found("[]")),
        ("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j): $9$10\n", "abcdefghij", .found("ia0")),
        // What stands ahead of the match stays, what is behind it goes.
        ("@x$: @h\n", "joe@x", .found("joe@h")), ("flim: h\n", "totallyflimless", .found("totallyh")),
        ("a\\\\.b: h\n", "a.b", .found("h")), ("a\\\\.b: h\n", "axb", .notFound), ("a'\\.'b: h\n", "axb", .notFound),
        ("a\\ b: h\n", "a b", .found("h")), ("'a b': h\n", "a b", .found("h")), ("\"a 'b\": h\n", "a 'b", .found("h")),
        ("a: h # c\n", "a", .found("h")), ("a: h#c\n", "a", .found("h")), ("a\\#: h\n", "a#", .found("h")),
        ("a: 'h i'\n", "a", .found("h i")), ("a: h i\n", "a", .found("h")), ("ab\\\nc: h\n", "abc", .found("h")),
        ("# x \\\na: h\n", "a", .notFound), ("a: h\r\nb: i\r\n", "b", .found("i")), ("\n \n\ta: h\n", "a", .found("h")),
        ("a : h\n", "a", .found("h")), ("a:h\nb: i\n", "b", .found("i")), ("a: ''\na: h\n", "a", .found("h")),
        (".*: h\n", "", .notFound),
        ("^: h\n", "joe", .found("h")), (".: h\n", "a\0b", .permanent("a key with a NUL byte cannot be matched")),
        ("", "a", .notFound),
    ]

    @Test(arguments: answers)
    func itAnswers(text: String, key: String, answer: Answer) throws {
        #expect(try Self.lookup(text, key) == answer)
    }

    private static let broken = [
        ("a: h\n(: i\n", 2), ("a: h\n\n[b: i\n", 3), ("a: h\n*b: i\n", 2), ("a{2,1}: h\n", 1), ("a: h\nb\0: i\n", 2),
        ("a: 'h\nb: i\n", 3),
    ]

    @Test(arguments: broken)
    func itNamesTheBrokenLine(text: String, line: Int) {
        let failure = #expect(throws: QuotedText.Failure.self) { try RegexList(Array(text.utf8)) }
        #expect(failure?.line == line)
        #expect(failure?.reason.isEmpty == false)
    }

    @Test func oddLinesAreNoted() throws {
        let list = try RegexList(Array("a:h\nb: h i\nc: h\n: h\nd: ''\n".utf8))
        #expect(list.count == 2)
        #expect(list.notes.map(\.line) == [1, 2, 4, 5])
    }

    @Test func aValueHasALimit() throws {
        let text = "(.*): " + String(repeating: "$1", count: 1000) + "\n"
        #expect(try Self.lookup(text, "joe") == .found(String(repeating: "joe", count: 1000)))
        guard case .permanent = try Self.lookup(text, String(repeating: "x", count: 1024)) else {
            Issue.record("a megabyte for an answer")
            return
        }
    }

    @Test func everyPrefixOfAFileIsReadOrRefused() {
        let bytes = Array("^(a|b*)\\\\.[x-z]{1,3}'c d'\"e\\\"f\": $1@\\\n h # i\n(g)+: $9 j\r\n".utf8)
        for count in 0...bytes.count {
            _ = (try? RegexList(Array(bytes.prefix(count))))?.lookup(Array("ab.xyzc de\"f".utf8))
        }
        for byte in UInt8.min...UInt8.max { _ = try? RegexList([byte, byte, 0x3a, 0x20, byte]) }
    }

    // MARK: - Beside the original

    /// Where the original does what nobody can want.
    private enum Fault {
        /// A match of nothing appends the next byte of the key to the answer; at the end of the key it is none.
        case emptyMatch
        /// A group that took no part in the match stays `$2`.
        case unsetGroup

        func explains(_ ours: Answer, _ theirs: Original.Reply) -> Bool {
            switch (self, ours, theirs) {
            case (.emptyMatch, .found, .notFound): true
            case (.emptyMatch, .found(let ours), .found(let theirs)): ours == theirs.dropLast()
            case (.unsetGroup, .found(let ours), .found(let theirs)):
                ours == Array(String(decoding: theirs, as: UTF8.self).replacing("$2", with: "").utf8)
            default: false
            }
        }
    }

    private static let files: [(text: String, fault: Fault?)] = [
        ("^[a-k]: localhost\n^[^a-k]: localhost:110\n", nil),
        ("^user: user2@localhost\n(.*)@(.*): $1_$2@localhost\n", nil),
        ("^(.*)@x\\\\.example$: $1@h1:1143\n@: h2\n^user([0-9])([0-9])*: $1$2.h$0$5\njoe: j@h3\n", .unsetGroup),
        ("'o e'|\"j;\"|\\;: h1\n'\\joe': h2\n'[*()]': h3\n'\\$1': h4\n%: h5:$$0\n' ': h6\n", nil),
        ("[[:upper:]]: UP\n[[:space:]]: blank\n[[:digit:]]{2,4}$: $0.h\na{200}: long\n.: any\n", nil),
        ("x*: h\n", .emptyMatch), ("$: h\n", .emptyMatch), ("", nil),
        ("nothing\nelse:\n : h\njoe: h\r\nuser:  i  j\n", nil), ("j(o)(x)?: [$2$1]\n", .unsetGroup),
    ]

    @Test(arguments: 0..<files.count)
    func itAnswersAsTheOriginalDoes(number: Int) throws {
        let (text, fault) = Self.files[number]
        try scratch.write(text, to: "popmap.re")
        let theirs = try #require(
            try Original.ask("posix_regex", scratch.file("popmap.re"), Original.keys, in: scratch))
        let list = try RegexList(Array(text.utf8))
        #expect(theirs.count > 180)
        for (key, reply) in zip(Original.keys, theirs) {
            let ours = list.lookup(key)
            guard !ours.agrees(with: reply), fault?.explains(ours, reply) != true else { continue }
            Issue.record("\(key.prefix(20)): ours \(ours), theirs \(reply)")
        }
    }

    @Test(arguments: ["(: h\n", "*a: h\n", "a{1: h\n", "[: h\n", "\\\\: h\n"])
    func whatTheOriginalRefusesIsRefused(text: String) throws {
        try scratch.write(text, to: "popmap.re")
        #expect(try Original.ask("posix_regex", scratch.file("popmap.re"), [], in: scratch) == nil)
        let outcome = try scratch.run(Self.provider, ["-m", "popmap.re", "--query", "joe"])
        #expect(outcome.status == 75 && outcome.errors.contains("popmap.re:1: no regular expression"))
    }
}
