import Provider
import Testing

@testable import MapLDAP

/// The options string as a value.
struct LDAPLocationTests {
    private func servers(_ hosts: String, _ scheme: String = "ldap") throws -> [String] {
        try LDAPLocation("\(scheme)://\(hosts)/dc=x?a,b").servers.map(\.description)
    }

    @Test(arguments: ["", "3", "3:", LDAPLocation.defaultURL, "3:" + LDAPLocation.defaultURL])
    func whatIsLeftOutIsTheDefault(options: String) throws {
        let location = try LDAPLocation(options)
        #expect(location.version == 3)
        #expect(location.servers == [LDAPServer(scheme: .ldap, host: "localhost", port: 389)])
        #expect(location.base.text == Array("ou=mailbox,dc=nodomain".utf8))
        #expect(location.attributes.names == ["username", "mailhost", "port"])
        #expect(location.scope == .one)
        #expect(location.filter.pieces == [.text(Array("(uid=".utf8)), .key(width: 0), .text(Array(")".utf8))])
        #expect(location.extensions.bindName == nil && location.extensions.password == nil)
        #expect(!location.extensions.startTLS)
    }

    @Test func theVersionStandsAhead() throws {
        #expect(try LDAPLocation("2").version == 2)
        #expect(try LDAPLocation("2:").version == 2)
        #expect(try LDAPLocation("2:ldap://h/dc=x?a,b").version == 2)
        #expect(try LDAPLocation("ldap://h/dc=x?a,b").version == 3)
        for options in ["4:ldap://h/dc=x?a,b", "1:", "33:ldap://h/dc=x?a,b", "03:", ":ldap://h/?a,b", " 3", "3 :", "x"]
        {
            #expect(throws: ConfigurationError.self, "\(options)") { try LDAPLocation(options) }
        }
    }

    @Test func theURLMayBeWrapped() throws {
        for url in ["LDAP://h/dc=x?a,b", "URL:ldap://h/dc=x?a,b", "<ldap://h/dc=x?a,b>", "<url:ldap://h/dc=x?a,b>"] {
            #expect(try LDAPLocation(url).servers.map(\.host) == ["h"])
            #expect(try LDAPLocation("3:" + url).attributes.names == ["a", "b"])
        }
    }

    @Test func hostsAndPorts() throws {
        #expect(try servers("") == ["ldap://localhost:389"])
        #expect(try servers("h") == ["ldap://h:389"])
        #expect(try servers("h", "ldaps") == ["ldaps://h:636"])
        #expect(try servers("h:1") == ["ldap://h:1"])
        #expect(try servers(":1") == ["ldap://localhost:1"])
        // The original takes one port only, for all.
        #expect(try servers("h1 h2:1") == ["ldap://h1:1", "ldap://h2:1"])
        #expect(try servers("h1  h2%20h3 :1") == ["ldap://h1:1", "ldap://h2:1", "ldap://h3:1"])
        #expect(try servers("h1:1 h2:2") == ["ldap://h1:1", "ldap://h2:2"])
        #expect(try servers("[::1]") == ["ldap://[::1]:389"])
        #expect(try servers("[2001:db8::1]:1 10.0.0.1") == ["ldap://[2001:db8::1]:1", "ldap://10.0.0.1:389"])
        #expect(try servers("%2Frun%2Fa %2frun%2Fb", "ldapi") == ["ldapi:///run/a", "ldapi:///run/b"])
        #expect(try servers("", "ldapi") == ["ldapi://" + LDAPServer.defaultSocket])
        for hosts in ["h:", "h:0", "h:x", "h:65536", "h:-1", "%s", "h%4", "h?x", "a:1:2"] {
            #expect(throws: ConfigurationError.self, "\(hosts)") { try servers(hosts) }
        }
        #expect(throws: ConfigurationError.self) { try servers("h", "cldap") }
        #expect(throws: ConfigurationError.self) { try LDAPLocation("ldap:/h/dc=x?a,b") }
        #expect(throws: ConfigurationError.self) { try LDAPLocation("ldap://h?a,b") }
    }

    @Test func attributesCountByTheirPlace() throws {
        func names(_ list: String) throws -> [String] { try LDAPLocation("ldap://h/dc=x?\(list)").attributes.names }
        #expect(try names("a,b") == ["a", "b"])
        #expect(try names("a,b,c,d") == ["a", "b", "c"])
        #expect(try names("a,,b,") == ["a", "b"])
        #expect(try names("user%6eame,b") == ["username", "b"])
        for list in ["", "a", ",", "a,%s"] {
            #expect(throws: ConfigurationError.self, "\(list)") { try names(list) }
        }
        let twice = try LDAPLocation("ldap://h/dc=x?a,A,b").attributes
        #expect(twice[0] != nil && twice[1] == nil && twice[2] != nil && twice[3] == nil)
    }

    @Test func scopes() throws {
        let known: [(String, LDAPLocation.Scope)] = [
            ("", .base), ("base", .base), ("ONE", .one), ("onelevel", .one), ("sub", .subtree), ("s%75btree", .subtree),
            ("children", .children), ("subordinate", .children),
        ]
        for (name, scope) in known { #expect(try LDAPLocation("ldap://h/dc=x?a,b?\(name)").scope == scope) }
        #expect(try LDAPLocation("ldap://h/dc=x?a,b").scope == .base)
        for name in ["two", "%20one", "%s"] {
            #expect(throws: ConfigurationError.self) { try LDAPLocation("ldap://h/dc=x?a,b?\(name)") }
        }
    }

    @Test func filtersAndWhatMayFollow() throws {
        #expect(try LDAPLocation("ldap://h/dc=x?a,b").filter.text == Array("(objectClass=*)".utf8))
        #expect(try LDAPLocation("ldap://h/dc=x?a,b?one?").filter.text == Array("(objectClass=*)".utf8))
        #expect(try LDAPLocation("ldap://h/dc=x?a,b?one?uid=x?").filter.text == Array("uid=x".utf8))
        #expect(throws: ConfigurationError.self) { try LDAPLocation("ldap://h/dc=x?a,b?one?(uid=%s)?x?y") }
    }

    @Test func extensionsAreDecoded() throws {
        func read(_ list: String) throws -> LDAPExtensions {
            try LDAPLocation("ldap://h/dc=x?a,b?one?(uid=%s)?\(list)").extensions
        }
        let both = try read("!BINDNAME=uid=perdition%2Co=x,!X-BINDPW=s%65c%2cr%25%3d=%20s%3f")
        #expect(both.bindName?.text == Array("uid=perdition,o=x".utf8))
        #expect(both.password?.withBytes { Array($0) } == Array("sec,r%== s?".utf8))
        #expect(try read("bindname=cn=%s").bindName?.usesKey == true)
        #expect(try read("bindname").bindName?.text == [])
        #expect(try read("foo=bar,baz").unknown == 2)
        for name in ["x-starttls", "!StartTLS", "1.3.6.1.4.1.1466.20037"] { #expect(try read(name).startTLS) }
        let files = try read("x-tlscacert=/a%2Cb,x-tlscert=/c,x-tlskey=/k")
        #expect(files.authorities == "/a,b" && files.certificate == "/c" && files.key == "/k")
        for list in [
            "!foo", "!foo=bar", "x-bindpw=%s", "x-bindpw=%zz", "x-bindpw=a%00", "x-starttls=no", "x-tlscert=/c",
            "x-tlskey=/k", "x-tlscacert=", "bindname=%", "foo,!x-bindp=secret",
        ] {
            #expect(throws: ConfigurationError.self, "\(list)") { try read(list) }
        }
        #expect(throws: ConfigurationError.self) { try LDAPLocation("ldaps://h/dc=x?a,b???x-starttls") }
        #expect(throws: ConfigurationError.self) { try LDAPLocation("2:ldap://h/dc=x?a,b???x-starttls") }
    }

    @Test func noErrorOrDumpShowsThePassword() throws {
        for options in [
            "4:ldap://h/dc=x?a,b???x-bindpw=hush", "ldap://h/dc=x?a,b???x-bindpw=hush%zz",
            "ldap://h/?a???x-bindpw=hush",
            "ldap://h/dc=x?a,b???!x-bindpwhush", "ldap://h/dc=x?a,b???!hush=x", "ldap://h/dc=x?a,b???x-bindpw=hush?",
            "ldap://h:hush/dc=x?a,b???x-bindpw=hush", "hush", "ldap://h/dc=x?a,b?hush", "ldap://h?a,b???x-bindpw=hush",
            "ldap://h/dc=x?a,b???x-starttls=hush", "ldap://h/dc=%hush?a,b",
        ] {
            do {
                _ = try LDAPLocation(options)
                Issue.record("\(options) is no options string")
            } catch {
                #expect(!error.description.contains("hush"))
            }
        }
        let location = try LDAPLocation("ldap://h/dc=x?a,b???x-bindpw=hush")
        var text = ""
        dump(location, to: &text)
        #expect(!text.contains("hush") && !"\(location)".contains("hush"))
        #expect(location.extensions.password.map { "\($0)" } == "***")
    }
}
