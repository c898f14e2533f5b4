import CLinux
import Foundation
import Lookup
import Synchronization
import Testing

/// perdition-map-ldap against a real server: what it finds.
struct LDAPProviderTests {
    private static let odd = """
        dn: uid=multi,ou=mailbox,dc=nodomain
        objectClass: inetOrgPerson
        uid: multi
        cn: x
        sn: x
        description: first.example.com
        description: second.example.com

        dn: uid=nohost,ou=mailbox,dc=nodomain
        objectClass: perditionPopmap
        uid: nohost
        username: somebody
        port: 143

        dn: uid=six,ou=mailbox,dc=nodomain
        objectClass: perditionPopmap
        uid: six
        mailhost: 2001:db8::1
        port: 143

        dn: mailhost=star,ou=mailbox,dc=nodomain
        objectClass: perditionPopmap
        uid: a*b
        uid: (joe)
        uid: back\\slash
        mailhost: star

        dn: mailhost=one,ou=mailbox,dc=nodomain
        objectClass: perditionPopmap
        uid: twice
        mailhost: one

        dn: mailhost=two,ou=mailbox,dc=nodomain
        objectClass: perditionPopmap
        uid: twice
        mailhost: two

        dn: ou=deeper,ou=mailbox,dc=nodomain
        objectClass: organizationalUnit
        ou: deeper

        dn: uid=deep,ou=deeper,ou=mailbox,dc=nodomain
        objectClass: perditionPopmap
        uid: deep
        mailhost: deep.example.com

        dn: ou=private,dc=nodomain
        objectClass: organizationalUnit
        ou: private

        dn: uid=eve,ou=private,dc=nodomain
        objectClass: perditionPopmap
        uid: eve
        mailhost: private.example.com

        dn: uid=reader,dc=nodomain
        objectClass: account
        objectClass: simpleSecurityObject
        uid: reader
        userPassword: p,w%? =d


        """
    private static let access = [
        "access to dn.subtree=\"ou=private,dc=nodomain\" by dn.exact=\"uid=reader,dc=nodomain\" read by * none",
        "access to attrs=userPassword by anonymous auth by * none", "access to * by * read",
    ]

    private let slapd: Slapd
    private let scratch: Scratch

    init() async throws {
        // The last access lines of slapd.conf are those of the database, so these become the general ones.
        slapd = try await Slapd(ldif: Self.odd, config: Self.access)
        scratch = slapd.scratch
    }

    private func query(_ key: String, _ tail: String) throws -> String {
        let outcome = try scratch.query(key, "ldap://\(slapd.host)/\(tail)")
        return outcome.status == 0 ? String(outcome.output.dropLast()) : "\(outcome.status)"
    }

    @Test func theExampleWorks() async throws {
        let provider = try await scratch.startLDAP(slapd.url())
        defer { provider.stop() }
        #expect(try scratch.lookUp("joe") == .found("imap1.example.com"))
        #expect(try scratch.lookUp("ann") == .found("annette@imap2.example.com:1143"))
        #expect(try scratch.lookUp("bob") == .found("10.0.0.3"))
        #expect(try scratch.lookUp("JOE") == .found("imap1.example.com"))
        #expect(try scratch.lookUp("six") == .found("[2001:db8::1]:143"))
        for key in ["jo", "joey", "", "nohost", "mailbox"] { #expect(try scratch.lookUp(key) == .notFound, "\(key)") }
        #expect(try String(contentsOfFile: scratch.file("log"), encoding: .utf8).contains("several") == false)
    }

    @Test func attributesAreUserServerPort() throws {
        let base = "ou=mailbox,dc=nodomain"
        // The example of the original's manual.
        #expect(try query("ann", "\(base)?uid,mailhost,port?sub?(uid=%s)") == "ann@imap2.example.com:1143")
        #expect(try query("joe", "\(base)?uid,mailhost,port?sub?(uid=%s)") == "joe@imap1.example.com")
        #expect(try query("ann", "\(base)?username,mailhost?one?(uid=%s)") == "annette@imap2.example.com")
        #expect(try query("ann", "\(base)?none,mailhost,port?one?(uid=%s)") == "imap2.example.com:1143")
        #expect(try query("multi", "\(base)?username,description?one?(uid=%s)") == "first.example.com")
        #expect(try query("nohost", "\(base)?username,mailhost,port?one?(uid=%s)") == "1")
        #expect(try query("ann", "\(base)?mailhost,mailhost,port?one?(uid=%s)") == "1")
    }

    @Test func scopesBasesAndFilters() throws {
        let attributes = "username,mailhost,port"
        #expect(try query("deep", "ou=mailbox,dc=nodomain?\(attributes)?one?(uid=%s)") == "1")
        #expect(try query("deep", "ou=mailbox,dc=nodomain?\(attributes)?sub?(uid=%s)") == "deep.example.com")
        #expect(try query("deep", "ou=mailbox,dc=nodomain?\(attributes)?children?(uid=%s)") == "deep.example.com")
        #expect(try query("joe", "ou=mailbox%2cdc=nodomain?\(attributes)?one?uid=%s") == "imap1.example.com")
        #expect(try query("joe", "ou=mailbox,dc=nodomain?\(attributes)?one?(uid=%20s)") == "imap1.example.com")
        #expect(try query("oe", "ou=mailbox,dc=nodomain?\(attributes)?one?(uid=j%s)") == "imap1.example.com")
        #expect(
            try query("imap1.example.com", "ou=mailbox,dc=nodomain?\(attributes)?one?(|(uid=%s)(mailhost=%s))")
                == "imap1.example.com")
        // The key in the DN: an entry that is not there is a user who is not there.
        for (key, answer) in [
            ("joe", "imap1.example.com"), ("nobody", "1"), ("joe,ou=mailbox", "1"), ("", "1"), ("*", "1"),
        ] {
            #expect(try query(key, "uid=%s,ou=mailbox,dc=nodomain?\(attributes)") == answer, "\(key)")
        }
        // A DN that is not there is a mistake in the options.
        #expect(try query("joe", "ou=nowhere,dc=nodomain?\(attributes)?one?(uid=%s)") == "75")
        #expect(try query("joe", "nonsense?\(attributes)?one?(uid=%s)") == "75")
        #expect(try query("joe", "dc=elsewhere?\(attributes)?one?(uid=%s)") == "75")
        #expect(try query("joe", "ou=mailbox,dc=nodomain?\(attributes)?one?(uid=%s") == "78")
    }

    @Test func nothingOfTheKeyGetsIntoTheFilter() async throws {
        let provider = try await scratch.startLDAP(slapd.url())
        defer { provider.stop() }
        for key in [
            "*", "j*", "*oe", ")(uid=*", "joe)(uid=*", "*)(uid=joe", "joe)(|(uid=*", "\\", "\\2a", "\\6aoe", "%6aoe",
            "%s",
            "joe\u{0}", "joe\u{0}nobody", "\u{0}", "(", ")", "(uid=joe)", "joe?", "joe?bindname=cn=admin%2cdc=nodomain",
            "joe,ou=mailbox", "a\\2ab", "' OR 1=1", "&", "|", "!", "joe=joe",
        ] {
            #expect(try scratch.lookUp(key) == .notFound, "\(key)")
        }
        for key in ["a*b", "(joe)", "back\\slash"] { #expect(try scratch.lookUp(key) == .found("star"), "\(key)") }
        for _ in 0..<200 {
            let key = (0..<Int.random(in: 1...60)).map { _ in UInt8.random(in: 0...255) }
            #expect(try scratch.lookUp(key) == .notFound, "\(key)")
        }
        #expect(try scratch.lookUp([UInt8](repeating: UInt8(ascii: "*"), count: 1024)) == .notFound)
        #expect(try scratch.lookUp("joe") == .found("imap1.example.com"))
        let searches = try slapd.log.components(separatedBy: "\n").filter { $0.contains("SRCH base") }
        #expect(searches.count > 200)
        #expect(searches.allSatisfy { $0.contains("base=\"ou=mailbox,dc=nodomain\" scope=1") })
    }

    @Test func theFirstOfSeveralEntriesCounts() async throws {
        let provider = try await scratch.startLDAP(slapd.url())
        defer { provider.stop() }
        let answer = try scratch.lookUp("twice")
        #expect(answer == .found("one") || answer == .found("two"))
        #expect(try scratch.lookUp("twice") == answer)
        #expect(try scratch.log.contains("several entries match a key; the first is used: twice"))
    }

    @Test func itLogsInAsTheURLSays() throws {
        let query = "ou=private,dc=nodomain?username,mailhost?sub?(uid=%s)"
        func status(_ extensions: String) throws -> Outcome {
            try scratch.query("eve", "ldap://\(slapd.host)/\(query)?\(extensions)")
        }
        let right = "!bindname=uid=reader%2cdc=nodomain,x-bindpw=p%2cw%25%3f%20%3dd"
        #expect(try status(right) == Outcome(status: 0, output: "private.example.com\n", errors: ""))
        #expect(
            try status(
                right.uppercased().replacing("%2CW", with: "%2cw").replacing("%3DD", with: "%3dd")
                    .replacing("=P", with: "=p")
            ).status == 0)
        #expect(try status("x-bindpw=p%2cw%25%3f%20%3dd,foo=bar,bindname=uid=reader%2cdc=nodomain").status == 0)
        // Nobody in particular may not read it.
        #expect(try status("").status != 0)
        #expect(try status("bindname=").status != 0)
        let wrong = try status("bindname=uid=reader%2cdc=nodomain,x-bindpw=wrong")
        #expect(wrong.status == 75 && wrong.errors.contains("bind: Invalid credentials"))
        #expect(try status("bindname=uid=reader%2cdc=nodomain").status == 75)
        #expect(try status("!unheard-of").status == 78)
        #expect(try slapd.log.contains("BIND dn=\"uid=reader,dc=nodomain\" method=128"))
        // The key in bindname: each user's entry by the user's own name.
        let own = "uid=%s,dc=nodomain?none,uid?base??bindname=uid=%s%2cdc=nodomain,x-bindpw=p%2cw%25%3f%20%3dd"
        #expect(try scratch.query("reader", "ldap://\(slapd.host)/\(own)").output == "reader\n")
        #expect(try scratch.query("eve", "ldap://\(slapd.host)/\(own)").status == 75)
    }

    @Test func bothVersionsAndAUnixSocket() throws {
        #expect(try scratch.query("joe", "2:" + slapd.url()).status == 0)
        #expect(try scratch.query("joe", "3:" + slapd.url()).status == 0)
        let path = slapd.file("ldapi").replacing("/", with: "%2F")
        let socket = "ldapi://\(path)/\(Slapd.query)"
        #expect(try scratch.query("ann", socket).output == "annette@imap2.example.com:1143\n")
        #expect(try scratch.query("ann", "ldapi://%2Fnowhere \(path)/\(Slapd.query)").status == 0)
        let nowhere = try scratch.query("ann", "ldapi://%2Fnowhere/\(Slapd.query)")
        #expect(nowhere.status == 75 && nowhere.errors.contains("ldapi:///nowhere: No such file"))
        #expect(try scratch.query("ann", "ldapi://\(String(repeating: "x", count: 200))/\(Slapd.query)").status == 78)
    }

    @Test func referralsAreNotFollowed() async throws {
        let other = try FakeLDAP(.silent)
        defer { other.stop() }
        let slapd = try await Slapd(
            ldif: """
                dn: ou=away,ou=mailbox,dc=nodomain
                objectClass: referral
                objectClass: extensibleObject
                ou: away
                ref: ldap://127.0.0.1:\(other.port)/ou=away,dc=nodomain


                """, config: ["referral ldap://127.0.0.1:\(other.port)"], tls: false)
        defer { slapd.stop() }
        let attributes = "username,mailhost,port"
        #expect(
            try slapd.scratch.query("joe", "ldap://\(slapd.host)/ou=mailbox,dc=nodomain?\(attributes)?sub?(uid=%s)")
                .status == 0)
        #expect(
            try slapd.scratch.query("nobody", "ldap://\(slapd.host)/ou=mailbox,dc=nodomain?\(attributes)?sub?(uid=%s)")
                .status == 1)
        let old = "2:ldap://\(slapd.host)/ou=mailbox,dc=nodomain?\(attributes)?sub?(uid=%s)"
        #expect(try slapd.scratch.query("joe", old).output == "imap1.example.com\n")
        #expect(try slapd.scratch.query("nobody", old).status == 1)
        for base in ["ou=away,ou=mailbox,dc=nodomain", "dc=elsewhere"] {
            let outcome = try slapd.scratch.query("joe", "ldap://\(slapd.host)/\(base)?\(attributes)?sub?(uid=%s)")
            #expect(outcome.status == 75 && outcome.errors.contains("Referral"))
        }
        #expect(try slapd.log.contains("err=10"))
        #expect(other.calls == 0)
    }

    @Test func aHundredThousandUsers() async throws {
        let slapd = try await Slapd(entries: 100_000, tls: false)
        let provider = try await slapd.scratch.startLDAP(slapd.url())
        defer { provider.stop() }
        for _ in 0..<10 {
            let numbers = (0..<300).map { _ in Int.random(in: 0..<110_000) }
            guard var client = BlockingClient(path: slapd.scratch.file("socket"), seconds: 30) else {
                throw POSIXError(.ECONNREFUSED)
            }
            let answers = client.lookUp(numbers.map { Array("user\($0)".utf8) })
            for (number, answer) in zip(numbers, answers) {
                #expect(answer == (number < 100_000 ? .found("host\(number).example.com:143") : .notFound))
            }
        }
        // One connection for each worker, and not one for each lookup.
        let log = try slapd.log
        #expect(log.components(separatedBy: " ACCEPT ").count - 1 <= 1 + 4)
        #expect(log.components(separatedBy: "SRCH base").count - 1 >= 3000)
    }
}
