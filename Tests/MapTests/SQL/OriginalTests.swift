import Foundation
import Lookup
import Testing

/// The same options string, data and keys for Debian's map libraries and for our providers.
struct OriginalTests {
    /// A key for which the two differ.
    private struct Difference: Equatable, CustomStringConvertible {
        var key: String
        /// `dbserver_get`'s status, or the signal it died of, and the value.
        var original: String
        var ours: Answer

        var description: String { "\(key.prefix(40)) (\(key.utf8.count) bytes): \(original) / \(ours)" }
    }

    /// What the table holds besides `user0` to `user99`: user, server, port.
    private static let rows: [(String, String, String?)] = [
        ("", "empty", nil), ("two words", "words", "2"), ("it's", "apostrophe", "3"),
        ("\"quoted\"", "quotes", "4"), ("back\\slash", "backslash", "5"), ("per%cent", "percent", "6"),
        ("under_score", "underscore", "7"), ("star*", "star", "8"), ("(paren)", "parens", "9"), ("%s", "format", "10"),
        ("straße", "eszett", "11"), ("Ünïcödé", "unicode", "12"), ("MixedCase", "case", "13"),
        ("joe@example.com", "joe@address", "14"), ("joe+tag@example.com", "tag", "15"), ("a`b", "backtick", "16"),
        ("no port", "none", nil), ("empty port", "emptyport", ""), ("no server", "", "17"),
        ("blanks around", " around ", " 18 "), ("blank within", "in side", "1 9"),
        ("whole", "joe@[2001:db8::7]:143", nil), ("named port", "named", "imap"), ("$1", "dollar", "20"),
        ("?", "question", "21"), ("tab\there", "tab", "22"), ("line\nend", "line", "23"), ("emoji🙂", "emoji", "24"),
        (String(repeating: "l", count: 100), "long100", "25"), (String(repeating: "m", count: 120), "long120", nil),
    ]

    /// About two hundred: all that is there in several spellings, and what is not.
    private static let keys: [String] = {
        var keys = (0..<50).map { "user\($0)" } + (95..<105).map { "user\($0)" }
        for (user, _, _) in rows { keys += [user, user.uppercased(), user + " ", "x" + user] }
        keys += [
            "'", "''", "\\", "\\\\", "\\'", "' OR '1'='1", "'; DROP TABLE target; --", "x' UNION SELECT '1','2",
            "user1' --",
            "*", "(", ")", "%", "_", "user_", "user%", "%n", "%1000s", ";", "--", "/*", "#", "@@version", "NULL",
            "user1\\",
            "user1\t", "\tuser1", " user1", "user01", "1", "0", "-1",
        ]
        keys += [100, 110, 130, 160, 200, 255, 256, 257, 300, 500, 1000].map { String(repeating: "k", count: $0) }
        keys += ["\u{e9}", "\u{1}\u{2}\u{7f}", "\u{fffd}", "ß", "STRASSE", "ünïcödé", "UNICODE", "ÜNÏCÖDÉ"]
        var seen: Set<[UInt8]> = []
        return keys.filter { seen.insert(Array($0.utf8)).inserted }
    }()

    private func literal(_ text: String?, _ kind: Database) -> String {
        guard let text else { return "NULL" }
        let hexadecimal = text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return kind == .mysql
            ? "CONVERT(X'\(hexadecimal)' USING utf8mb4)" : "convert_from('\\x\(hexadecimal)', 'UTF8')"
    }

    private func compare(_ kind: Database, _ table: String) async throws -> [Difference] {
        try Tool.require(kind.original)
        let server = try await kind.running()
        let users = (0..<100).map { "('user\($0)','host\($0)','\($0)')" }
        let odd = Self.rows.map { "(\([$0.0, $0.1, $0.2].map { literal($0, kind) }.joined(separator: ",")))" }
        try server.sql(
            "CREATE TABLE \(table) (usr VARCHAR(128) PRIMARY KEY, srv VARCHAR(255), prt VARCHAR(8));"
                + "INSERT INTO \(table) VALUES \((users + odd).joined(separator: ","));"
                + (kind == .postgres ? "GRANT SELECT ON \(table) TO perdition;" : ""))
        let options = "127.0.0.1:\(server.port):\(kind.name):\(table):perdition:perdition:srv:usr:prt"

        let provider = try await DatabaseProvider(kind, options)
        let lines = Self.keys.map { key in
            key.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
        }
        let outcome = try provider.scratch.run(
            "/usr/bin/env", ["python3", "\(Database.sources)/SQL/original.py", kind.original, options],
            input: lines.joined())
        try #require(outcome.status == 0, "\(outcome.errors)")
        let answers = outcome.output.split(separator: "\n")
        try #require(answers.count == Self.keys.count)

        var differences: [Difference] = []
        for (key, line) in zip(Self.keys, answers) {
            let ours = try provider.ask(key)
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            let value = words[0] == "0" ? bytes(words[1]) : []
            let theirs: Answer? = words[0] == "0" ? .found(value) : words[0] == "-2" ? .notFound : nil
            if theirs != ours {
                let shown = words[0] == "0" ? "0 " + String(decoding: value, as: UTF8.self) : String(line)
                differences.append(
                    Difference(key: key, original: shown.trimmingCharacters(in: .whitespaces), ours: ours))
            }
        }
        return differences
    }

    private func bytes(_ text: Substring) -> [UInt8] {
        stride(from: 0, to: text.utf8.count, by: 2).compactMap { UInt8(text.dropFirst($0).prefix(2), radix: 16) }
    }

    @Test func thereAreTwoHundredKeys() {
        #expect(Self.keys.count >= 200)
    }

    private static func long(_ count: Int) -> String { String(repeating: "k", count: count) }

    @Test func mySQL() async throws {
        // What the original calls an error, -3, for a row without a server: the user is in no popmap that could be used.
        let noServer = ["no server", "NO SERVER", "no server "].map {
            Difference(key: $0, original: "-3", ours: .notFound)
        }
        // Blanks around a name of a host help nobody.
        let blanks = ["blanks around", "BLANKS AROUND", "blanks around "].map {
            Difference(key: $0, original: "0  around : 18", ours: .found("around:18"))
        }
        // The original cuts its query at 255 bytes, and has no more room for the key than twice that.
        let cut = [255, 256, 257, 300, 500].map { Difference(key: Self.long($0), original: "-1", ours: .notFound) }
        let overrun = Difference(key: Self.long(1000), original: "signal 6", ours: .notFound)
        let found = try await compare(.mysql, "compared")
        #expect(found.map(\.description) == (noServer + blanks + cut + [overrun]).map(\.description))
    }

    @Test func postgreSQL() async throws {
        // The original puts the key into the query as it is: a quote breaks it, or is obeyed.
        let broken = ["it's", "IT'S", "it's ", "xit's"].map { key in
            Difference(key: key, original: "-1", ours: key == "it's" ? .found("apostrophe:3") : .notFound)
        }
        let odd = [
            // A colon with no port behind it, a port with no server ahead of it.
            Difference(key: "empty port", original: "0 emptyport:", ours: .found("emptyport")),
            Difference(key: "no server", original: "0 :17", ours: .notFound),
            // The original ends at the first blank, even at one that nothing stands ahead of.
            Difference(key: "blanks around", original: "0 :", ours: .found("around:18")),
            Difference(key: "'", original: "-1", ours: .notFound),
            Difference(key: "\\'", original: "-1", ours: .notFound),
            Difference(key: "' OR '1'='1", original: "0 host0:0", ours: .notFound),
            Difference(key: "'; DROP TABLE target; --", original: "-1", ours: .notFound),
            Difference(key: "x' UNION SELECT '1','2", original: "0 1:2", ours: .notFound),
            Difference(key: "user1' --", original: "0 host1:1", ours: .notFound),
        ]
        let cut = [255, 256, 257, 300, 500, 1000].map {
            Difference(key: Self.long($0), original: "-1", ours: .notFound)
        }
        let found = try await compare(.postgres, "compared")
        #expect(found.map(\.description) == (broken + odd + cut).map(\.description))
    }

    /// Options strings with the end left out, pieces left empty, hosts that are away.
    @Test(arguments: Database.allCases) func optionsStrings(kind: Database) async throws {
        let server = try await kind.running()
        let place = "127.0.0.1:\(server.port)"
        let whole = "\(place):\(kind.name):tblPerdition:perdition:perdition:servername:user:port"
        let fields = whole.split(separator: ":", omittingEmptySubsequences: false)
        var strings = (1...fields.count).map { fields.prefix($0).joined(separator: ":") }
        for empty in 2..<fields.count {
            strings.append(fields.enumerated().map { $0 == empty ? "" : $1 }.joined(separator: ":"))
        }
        strings += [
            "\(whole):", "\(whole)::", "\(whole):more", whole.replacing(":port", with: "::"),
            whole.replacing("127.0.0.1", with: "nowhere.invalid,127.0.0.1"),
            whole.replacing("127.0.0.1", with: "127.0.0.2,127.0.0.1,nowhere.invalid"),
            whole.replacing("servername", with: "SERVERNAME"), whole.replacing("tblPerdition", with: "nosuch"),
            whole.replacing("perdition:perdition", with: "perdition:wrong"), "localhost", ":\(server.port)", "::::",
            whole.replacing("127.0.0.1", with: "localhost"),
        ]
        strings.append(
            whole.replacing("tblPerdition", with: kind == .mysql ? "dbPerdition.tblPerdition" : "public.tblPerdition"))
        // Nothing of the environment but where the servers' sockets are, for both.
        let environment = ["MYSQL_UNIX_PORT": server.file("socket"), "PGHOST": server.file("")]
        let scratch = try Scratch()
        var found = 0
        for options in strings {
            let outcome = try scratch.run(
                "/usr/bin/env", ["python3", "\(Database.sources)/SQL/original.py", kind.original, options],
                input: "7573657231\n", environment: environment)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let words = outcome.output.split(whereSeparator: \.isWhitespace)
            let theirs = words.first == "0" ? bytes(words[1]) + Array("\n".utf8) : []
            let ours = try scratch.run(
                kind.program, ["--query", "user1", "--lookup_timeout", "20"],
                environment: environment.merging(["PERDITION_MAP_LIBRARY_OPT": options]) { $1 })
            // The original's MySQL library finds no host at all where none is named; ours takes localhost.
            if kind == .mysql, options.hasPrefix(":") {
                #expect(words == ["-1"])
                continue
            }
            #expect(ours.output == String(decoding: theirs, as: UTF8.self), "\(options): \(ours.errors)")
            #expect((ours.status == 0) == !theirs.isEmpty)
            if !theirs.isEmpty { found += 1 }
        }
        #expect(found >= 12)
    }
}
