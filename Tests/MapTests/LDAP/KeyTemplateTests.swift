import Provider
import Testing

@testable import MapLDAP

/// The key in DN and filter.
struct KeyTemplateTests {
    private func expand(_ template: String, _ key: String) throws -> String {
        String(decoding: try KeyTemplate(template[...], "part").expand(Array(key.utf8)), as: UTF8.self)
    }

    @Test func theKeyReplacesEachPlaceholder() throws {
        #expect(try expand("(uid=%s)", "joe") == "(uid=joe)")
        #expect(try expand("(|(uid=%s)(cn=%s))", "joe") == "(|(uid=joe)(cn=joe))")
        #expect(try expand("no key", "joe") == "no key")
        #expect(try expand("", "joe") == "")
        #expect(try expand("%s", "") == "")
    }

    @Test func widthsPadOnTheLeft() throws {
        #expect(try expand("(uid=%5s)", "joe") == #"(uid=\20\20joe)"#)
        #expect(try expand("(uid=%3s)", "joe") == "(uid=joe)")
        #expect(try expand("(uid=%2s)", "joe") == "(uid=joe)")
        #expect(try expand("(uid=%0s)", "joe") == "(uid=joe)")
        #expect(try expand("(uid=%05s)", "joe") == #"(uid=\20\20joe)"#)
        // Width, rather than an escape and an s.
        #expect(try expand("%20s", "").count == 60)
        #expect(try expand("%1024s", "").count == 3072)
    }

    @Test func percentEscapesAreDecoded() throws {
        #expect(try expand("a%20b%2a%2A", "joe") == "a b**")
        #expect(try expand("%2as%s", "joe") == "*sjoe")
        #expect(try expand("%25%73", "joe") == "%s")
        #expect(try expand("%25%s", "joe") == "%joe")
        for template in ["%", "%%s", "%-5s", "%S", "%d", "%5", "%zz", "%2", "%00", "%1025s", "%99999999999999999999s"] {
            #expect(throws: ConfigurationError.self, "\(template)") { try KeyTemplate(template[...], "part") }
        }
    }

    @Test func nothingOfTheKeyHasAMeaning() throws {
        #expect(try expand("%s", "*") == #"\2a"#)
        #expect(try expand("%s", ")(uid=*") == #"\29\28uid\3d\2a"#)
        #expect(try expand("%s", #"\2a"#) == #"\5c2a"#)
        #expect(try expand("%s", "joe,ou=other") == #"joe\2cou\3dother"#)
        #expect(try expand("%s", "%s%5s%2a") == #"\25s\255s\252a"#)
        #expect(try expand("%s", "a\u{0}b") == #"a\00b"#)
        #expect(try expand("%s", " #é") == #"\20\23\c3\a9"#)
    }

    @Test func everyByteComesBack() throws {
        let template = try KeyTemplate("%s", "part")
        for _ in 0..<200 {
            let key = (0..<Int.random(in: 0...50)).map { _ in UInt8.random(in: 0...255) }
            let escaped = template.expand(key)
            var back: [UInt8] = []
            var rest = escaped[...]
            while let byte = rest.popFirst() {
                #expect(!Array("*()\0 ,+\"<>;=#".utf8).contains(byte))
                guard byte == UInt8(ascii: "\\") else {
                    back.append(byte)
                    continue
                }
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                back.append(try #require(UInt8(digits, radix: 16)))
                rest = rest.dropFirst(2)
            }
            #expect(back == key)
        }
    }

    @Test func entriesBecomeValues() {
        func value(_ user: String?, _ host: String?, _ port: String?) -> String? {
            let entry = LDAPEntry(
                user: user.map { Array($0.utf8) }, host: host.map { Array($0.utf8) }, port: port.map { Array($0.utf8) })
            return entry.value.map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(value("ann", "h", "143") == "ann@h:143")
        #expect(value(nil, "h", "143") == "h:143")
        #expect(value("ann", "h", nil) == "ann@h")
        #expect(value(nil, "h", nil) == "h")
        #expect(value("a@b", "h", nil) == "a@b@h")
        #expect(value(nil, "2001:db8::1", nil) == "2001:db8::1")
        #expect(value(nil, "2001:db8::1", "143") == "[2001:db8::1]:143")
        #expect(value(nil, "[2001:db8::1]", "143") == "[2001:db8::1]:143")
        #expect(value("ann", nil, "143") == nil)
        #expect(value(nil, "", nil) == nil)
    }
}
