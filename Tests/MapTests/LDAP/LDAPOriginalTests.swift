import CLinux
import Foundation
import Lookup
import Testing

/// The same options string, directory and keys: the original's library and perdition-map-ldap send the user to the same
/// server. Where they differ, the key is listed with the reason.
struct LDAPOriginalTests {
    private static let library = "/usr/lib/x86_64-linux-gnu/libperditiondb_ldap.so.0"

    /// Users whose names are odd, but in the directory.
    private static let oddUsers = [
        "a*b", "*", "star*", "(", ")", "(joe)", "back\\slash", "per%cent", "%s", "100%", "what?", "straße", "Ünïcödé",
        "quo'te", "'; DROP TABLE users; --", "dou\"ble", "sp ace", "a,b", "a=b", "a+b", "a#b", "a;b", "a<b>c", "a&b",
        "a|b",
        "!a", "~a", "a/b", "a:b", "joe@example.com", "joe+tag@example.com", "user@exa_mple.com", "0", "-", "_", ".",
        "日本語", "emoji😀", String(repeating: "x", count: 1000), "a\\2ab", "$(id)", "`id`", "a\tb",
    ]

    /// Keys that nobody has; some are attempts.
    private static let strangers =
        [
            "", " ", "nobody", "jo", "joey", "*oe", "j*", "joe*", ")(uid=*", "joe)(uid=*", "*)(|(uid=joe", "\\", "\\2a",
            "\\6aoe", "a\\", "%", "%5s", "%20", "%6aoe", "j%6fe", "joe?", "joe??", "joe?x", "((", "))", "()",
            "(uid=joe)",
            "' OR '1'='1", "joe' --", "\"", "''", "joe\n", "\n", "a\u{1}b", "joe,ou=mailbox", "uid=joe", "cn=admin",
            String(repeating: "y", count: 1000), String(repeating: " ", count: 300), "joe@", "@", "joe@host", "é",
            "e\u{301}",
        ].map { Array($0.utf8) } + [[0xff], [0xe9], [0x80, 0x81], Array(0x01...0x24), Array(0xa0...0xff)]

    /// What is the same in both for the schema's rules: case, and blanks at the ends.
    private static let variants = ["JOE", "Joe", " joe", "joe ", "  joe  ", "aNN", "BOB"]

    private static var entries: String {
        oddUsers.enumerated().map { number, name in
            """
            dn: mailhost=odd\(number).example.com,ou=mailbox,dc=nodomain
            objectClass: perditionPopmap
            uid:: \(Data(name.utf8).base64EncodedString())
            mailhost: odd\(number).example.com
            \(number % 3 == 0 ? "port: \(number + 1000)\n" : "")\(number % 4 == 0 ? "username: u\(number)\n" : "")

            """
        }.joined().replacing("\n\n\n", with: "\n\n") + """
            dn: uid=nohost,ou=mailbox,dc=nodomain
            objectClass: perditionPopmap
            uid: nohost
            username: somebody

            dn: uid=empty,ou=mailbox,dc=nodomain
            objectClass: perditionPopmap
            uid: empty

            dn: uid=portonly,ou=mailbox,dc=nodomain
            objectClass: perditionPopmap
            uid: portonly
            port: 143


            """
    }

    private static var keys: [[UInt8]] {
        let plain = ["joe", "ann", "bob", "nohost", "empty", "portonly"] + (0..<120).map { "user\($0)" }
        return (plain + variants + oddUsers).map { Array($0.utf8) } + strangers
    }

    private let slapd: Slapd
    private let scratch: Scratch

    init() async throws {
        try Tool.require(Self.library, "/usr/sbin/perdition")
        slapd = try await Slapd(ldif: Self.entries, entries: 100)
        scratch = slapd.scratch
    }

    /// The original's answers, in their order: nil where it failed or crashed.
    private func original(_ options: String, _ keys: [[UInt8]]) throws -> [Answer?] {
        let input = keys.map { $0.map { String(format: "%02x", $0) }.joined() + "\n" }.joined()
        let outcome = try scratch.run(
            "/usr/bin/env", ["python3", "\(Slapd.folder)/original.py", Self.library, options], input: input)
        try #require(outcome.status == 0, "\(outcome.errors)")
        let lines = outcome.output.split(separator: "\n")
        try #require(lines.count == keys.count)
        return try lines.map { line in
            let words = line.split(separator: " ")
            switch words[0] {
            case "none": return .notFound
            case "found":
                let digits = Array(words[1])
                return .found(
                    try stride(from: 0, to: digits.count, by: 2).map {
                        try #require(UInt8(String(digits[$0...($0 + 1)]), radix: 16))
                    })
            default: return nil
            }
        }
    }

    private func ours(_ options: String, _ keys: [[UInt8]]) async throws -> [Answer] {
        let provider = try await scratch.startLDAP(options)
        defer { provider.stop() }
        let answers = try keys.map { try scratch.lookUp($0) }
        provider.signal(SIGTERM)
        #expect(provider.wait() == 0)
        return answers
    }

    /// The keys for which the two differ.
    private func differences(_ options: String, _ keys: [[UInt8]] = keys) async throws -> Set<String> {
        let (theirs, ours) = (try original(options, keys), try await ours(options, keys))
        var found: Set<String> = []
        for (key, (theirs, ours)) in zip(keys, zip(theirs, ours)) where theirs != ours {
            found.insert(String(decoding: key, as: UTF8.self))
        }
        // A comparison of nothing with nothing would be no comparison.
        #expect(ours.filter { if case .found = $0 { true } else { false } }.count >= 100)
        #expect(ours.filter { $0 == .notFound }.count >= 20)
        return found
    }

    /// Where the original is wrong, and why. Each of these shows, and nothing else.
    private static let faults: [(why: String, keys: [String])] = [
        ("* is a wildcard: anybody's server is found", ["*", "*oe", "j*", "joe*"]),
        (
            "parentheses end the filter: access error, or another's server",
            ["(", ")", "(joe)", "$(id)", ")(uid=*", "joe)(uid=*", "*)(|(uid=joe", "((", "))", "()", "(uid=joe)"]
        ),
        (
            "\\ begins an escape of the filter: access error, or another's server",
            ["\\", "\\2a", "\\6aoe", "a\\", "back\\slash", "a\\2ab"]
        ),
        (
            "% begins an escape of the URL: error, or another's server",
            ["%", "%s", "%5s", "100%", "%6aoe", "j%6fe", "per%cent"]
        ),
        ("? ends a part of the URL: access error", ["joe?", "joe??", "joe?x", "what?"]),
        ("an entry with a user and no server: the library crashes", ["nohost"]),
    ]

    @Test func theDefaultQuery() async throws {
        #expect(Self.keys.count >= 200)
        #expect(try await differences("3:" + slapd.url()) == Set(Self.faults.flatMap(\.keys)))
        let answers = try await ours("3:" + slapd.url(), Self.oddUsers.map { Array($0.utf8) })
        for (number, answer) in answers.enumerated() {
            let user = number % 4 == 0 ? "u\(number)@" : ""
            let port = number % 3 == 0 ? ":\(number + 1000)" : ""
            #expect(answer == .found("\(user)odd\(number).example.com\(port)"), "\(Self.oddUsers[number])")
        }
        #expect(try await ours(slapd.url(), Self.strangers).allSatisfy { $0 == .notFound })
    }

    @Test(arguments: [
        // Without a version the original speaks version 2, which this slapd takes.
        ("", "ou=mailbox,dc=nodomain?username,mailhost,port?one?(uid=%s)"),
        ("2:", "ou=mailbox,dc=nodomain?uid,mailhost,port?sub?(uid=%s)"),
        ("3:", "ou=mailbox%2cdc=nodomain?username,mailhost?children?uid=%s"),
        ("3:", "ou=mailbox,dc=nodomain?none,mailhost,port,username?onelevel?(uid=%40s)"),
        ("3:", "ou=mailbox,dc=nodomain?,mailhost,,uid?one?(%7c(uid=%3s)(cn=%s))"),
        ("3:", "dc=nodomain?port,mailhost?sub?(&(uid=%s)(objectClass=perditionPopmap))"),
        (
            "3:",
            "ou=mailbox,dc=nodomain?username,mailhost,port?one?(uid=%s)?!bindname=cn=admin%2cdc=nodomain,x-bindpw=s%65cret"
        ),
        (
            "3:",
            "ou=mailbox,dc=nodomain?username,mailhost,port?one?(uid=%s)?foo=bar,!X-BINDPW=secret,!BINDNAME=cn=admin%2Cdc=nodomain"
        ),
    ])
    func otherQueries(version: String, query: String) async throws {
        // Which attribute is missing from an entry without a server, and so whether the original crashes, depends on
        // the query.
        let others = Set(Self.faults.flatMap(\.keys) + ["empty", "portonly"])
        let plain = Self.keys.filter { !others.contains(String(decoding: $0, as: UTF8.self)) }
        #expect(try await differences("\(version)ldap://\(slapd.host)/\(query)", plain) == [])
    }

    @Test func severalHosts() async throws {
        // 127.0.0.3 has nobody at that port.
        let options = "3:ldap://no.such.host.invalid 127.0.0.3 \(slapd.host)/\(Slapd.query)"
        #expect(try await differences(options, (0..<120).map { Array("user\($0)".utf8) }) == [])
    }

    @Test func theKeyInTheDN() async throws {
        let options = "3:ldap://\(slapd.host)/uid=%s,ou=mailbox,dc=nodomain?uid,mailhost,port"
        let keys = (0..<160).map { "user\($0)" }
        // A user who is not there is an access error for the original, and so never gets to --outgoing_server.
        let absent = Set(keys[100...])
        #expect(try await differences(options, keys.map { Array($0.utf8) }) == absent)
    }
}
