import Loop
import Testing

@testable import Proxy

/// The forms of user names, and what popmaps are asked and answer.
@Suite struct NameTests {
    private func form(
        _ name: String, _ stage: Stages, domain: String? = nil, _ set: (inout Options) -> Void
    ) -> String {
        var options = Options()
        set(&options)
        return UserName(options, domain: domain.map { Array($0.utf8) }).form(of: Array(name.utf8), for: stage).text
    }

    private static let stages: [Stages] = [.serverLookup, .localAuthentication, .remoteLogin]

    // MARK: Forms

    @Test func aNameStaysAsItIsWithoutOptions() {
        for stage in Self.stages {
            #expect(form("Joe@Example.ORG", stage) { _ in } == "Joe@Example.ORG")
        }
    }

    /// Each option works at its own stages and at no other.
    @Test func optionsWorkAtTheirStages() {
        for set in (0..<8).map({ Stages(rawValue: $0) }) {
            for stage in Self.stages {
                let works = set.contains(stage)
                #expect(form("Joe@X", stage) { $0.stripDomain = set } == (works ? "Joe" : "Joe@X"))
                #expect(form("Joe@X", stage) { $0.lowerCase = set } == (works ? "joe@x" : "Joe@X"))
                #expect(form("Joe", stage, domain: "d.org") { $0.addDomain = set } == (works ? "Joe@d.org" : "Joe"))
            }
        }
    }

    @Test func stripsThenAddsThenLowers() {
        let all: (inout Options) -> Void = {
            $0.stripDomain = .all
            $0.addDomain = .all
            $0.lowerCase = .all
        }
        #expect(form("Joe@Old", .serverLookup, domain: "New.ORG", all) == "joe@new.org")
        #expect(form("Joe@A@B", .serverLookup, domain: "New.ORG", all) == "joe@a")
        #expect(form("", .serverLookup, domain: "D", all) == "@d")
    }

    @Test(
        arguments: [
            ("a@b@c", "@", "a@b"), ("@b", "@", ""), ("a@", "@", "a"), ("a", "@", "a"), ("a%%b%%c", "%%", "a%%b"),
            ("a%b", "%%", "a%b"), ("a%%%b", "%%", "a%"), ("aéb", "é", "a"), ("a@b", "", "a@b"),
        ])
    func stripsFromTheLastDelimiter(name: String, delimiter: String, expected: String) {
        #expect(
            form(name, .remoteLogin) {
                $0.stripDomain = .all
                $0.domainDelimiter = delimiter
            } == expected)
    }

    @Test func addsADomainOnlyWhereThereIsNone() {
        let add: (inout Options) -> Void = {
            $0.addDomain = .all
            $0.domainDelimiter = "-at-"
        }
        #expect(form("joe", .serverLookup, domain: "d", add) == "joe-at-d")
        #expect(form("joe-at-x", .serverLookup, domain: "d", add) == "joe-at-x")
        #expect(form("joe@x", .serverLookup, domain: "d", add) == "joe@x-at-d")
        #expect(form("joe", .serverLookup, domain: nil, add) == "joe")
    }

    @Test func lowersASCIIOnly() {
        var options = Options()
        options.lowerCase = .all
        let name: [UInt8] = Array("ÄZ".utf8) + [0xff, 0x41, 0x00]
        #expect(UserName(options).form(of: name, for: .serverLookup) == Array("Äz".utf8) + [0xff, 0x61, 0x00])
    }

    // MARK: Delimiter

    @Test func findsTheLastDelimiter() {
        let last: (String, String) -> Int? = { Delimiter.last(Array($0.utf8), in: Array($1.utf8)) }
        #expect(last("@", "a@b@c") == 3)
        #expect(last("@", "abc") == nil)
        #expect(last("", "abc") == nil)
        #expect(last("abcd", "abc") == nil)
        #expect(last("abc", "abc") == 0)
        #expect(last("aa", "aaaa") == 2)
        #expect(last("@", "") == nil)
        let halves = Delimiter.split(Array("a--b--c".utf8), at: Array("--".utf8))
        #expect(halves?.head.text == "a--b")
        #expect(halves?.tail.text == "c")
        #expect(Delimiter.split([], at: []) == nil)
    }

    // MARK: Query keys

    private func key(_ format: String, name: String = "joe@a@b.org", delimiter: String = "@") throws -> String? {
        let source = try #require(SocketAddress(host: "192.0.2.1", port: 4000))
        let destination = try #require(SocketAddress(host: "2001:db8::2", port: 143))
        return QueryKey(format)?.key(
            for: Array(name.utf8), delimiter: Array(delimiter.utf8), source: source, destination: destination
        ).text
    }

    @Test(
        arguments: [
            ("", ""), ("\\U", "joe@a@b.org"), ("\\u", "joe@a"), ("\\D", "@"), ("\\d", "b.org"), ("\\i", "192.0.2.1"),
            ("\\I", "2001:db8::2"), ("\\p", "4000"), ("\\P", "143"), ("\\\\", "\\"), ("x", "x"),
            ("\\d\\D\\u!\\\\U", "b.org@joe@a!\\U"), ("a b\\u%", "a bjoe@a%"),
        ])
    func fillsInQueryKeys(format: String, expected: String) throws {
        #expect(try key(format) == expected)
    }

    @Test func splitsAtDelimitersOfAnyLength() throws {
        #expect(try key("\\u|\\d|\\D", name: "joe--x--y", delimiter: "--") == "joe--x|y|--")
        #expect(try key("\\u|\\d", name: "joe", delimiter: "--") == "joe|")
        #expect(try key("\\u|\\d", name: "joe@x", delimiter: "") == "joe@x|")
    }

    @Test(arguments: ["\\", "\\x", "a\\", "\\u\\", "\\n", "\\0", "\\ü"]) func refusesUnknownEscapes(format: String)
        throws
    {
        #expect(try key(format) == nil)
    }

    // MARK: Destinations

    @Test(
        arguments: [
            ("mail", "@", "mail", nil, nil), ("mail:143", "@", "mail", "143", nil),
            ("mail:imap", "@", "mail", "imap", nil),
            ("joe@mail", "@", "mail", nil, "joe"), ("joe@x.org@mail:993", "@", "mail", "993", "joe@x.org"),
            ("@mail", "@", "mail", nil, ""), ("[2001:db8::1]:143", "@", "2001:db8::1", "143", nil),
            ("[2001:db8::1]", "@", "2001:db8::1", nil, nil), ("2001:db8::1", "@", "2001:db8::1", nil, nil),
            ("joe@[::1]:1", "@", "::1", "1", "joe"), ("joe--at--mail", "--at--", "mail", nil, "joe"),
            (" mail:1 \n", "@", "mail", "1", nil), ("mail\0", "@", "mail", nil, nil),
            ("a@mail", "", "a@mail", nil, nil),
        ] as [(String, String, String, String?, String?)])
    func readsDestinations(value: String, delimiter: String, host: String, port: String?, user: String?) throws {
        let place = try #require(Destination(value: Array(value.utf8), delimiter: Array(delimiter.utf8)))
        #expect(place == Destination(host: host, port: port, user: user.map { Array($0.utf8) }))
    }

    @Test(arguments: [
        "", " ", "\0", "joe@", ":143", "[::1", "[]:1", "[::1]x", "[::1]:", "a b", "mail\u{7f}", "mäil",
        "m\u{1}l", "[a]:1:2",
    ])
    func refusesWhatNamesNoHost(value: String) {
        #expect(Destination(value: Array(value.utf8), delimiter: [UInt8(ascii: "@")]) == nil)
    }
}
