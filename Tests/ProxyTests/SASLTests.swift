import Foundation
import Testing

@testable import Proxy

/// Base64, the message of PLAIN, and names made comparable.
@Suite struct SASLTests {
    // MARK: Base64

    @Test(arguments: 0..<70) func base64IsWhatOthersWrite(length: Int) {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ length) }
        var text: [UInt8] = []
        Base64.append(bytes, to: &text)
        #expect(text == Array(Data(bytes).base64EncodedString().utf8))
        #expect(text.count == Base64.encodedSize(length))
        #expect(Base64.decode(text) == bytes)
    }

    @Test func everyDigitHasItsPlace() {
        let all = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        #expect(Base64.decode(all) == Array(Data(base64Encoded: Data(all)) ?? Data()))
    }

    @Test(arguments: [
        "A", "AA", "AAA", "AAAAA", "AGpvZQBzZWNyZXQ", "AA=", "AAA==", "A===", "====", "=AAA", "AA=A", "AAA=AAAA",
        "AB==",
        "AAB=", "AA A", "AAA\n", "AAA-", "AAA_", "AAA\u{e9}", "*", "****",
    ])
    func whatIsNotBase64IsRefused(text: String) {
        #expect(Base64.decode(Array(text.utf8)) == nil)
    }

    // MARK: PLAIN

    static func base64(_ text: String) -> [UInt8] { Array(Data(text.utf8).base64EncodedString().utf8) }

    static let messages: [(String, String?, String, String)] = [
        ("\0joe\0secret", nil, "joe", "secret"), ("jim\0joe\0secret", "jim", "joe", "secret"),
        ("joe\0joe\0secret", "joe", "joe", "secret"), ("\0joe\0", nil, "joe", ""),
        ("\0j e\0 two words ", nil, "j e", " two words "),
        ("\0j\u{e9}\0s\u{e9}\u{a0}\u{1}", nil, "j\u{e9}", "s\u{e9}\u{a0}\u{1}"),
        ("j\u{ad}im\0j\u{a0}oe\0s", "jim", "j oe", "s"), ("\u{ad}\0joe\0s", nil, "joe", "s"),
    ]

    @Test(arguments: messages)
    func plainIsRead(message: String, authorization: String?, authentication: String, password: String) throws {
        let credentials = try PlainMessage.decode(Self.base64(message))
        #expect(credentials.authorizationID?.text == authorization)
        #expect(credentials.authenticationID.text == authentication)
        #expect(credentials.password.withBytes { Array($0) } == Array(password.utf8))
        #expect(credentials.routedID.text == authorization ?? authentication)
    }

    static let badMessages: [(String, PlainMessage.Fault)] = [
        ("", PlainMessage.Fault.notBase64), ("joe", .noAuthenticationID), ("\0", .emptyAuthenticationID),
        ("\0\0secret", .emptyAuthenticationID), ("\0joe", .noPassword), ("\0joe\0secret\0x", .trailingGarbage),
        ("\0joe\0secret\0", .trailingGarbage), ("\0j\u{1}e\0secret", .invalidAuthenticationID),
        ("j\u{7f}\0joe\0secret", .invalidAuthorizationID), ("\0\u{ad}\0secret", .emptyAuthenticationID),
    ]

    @Test(arguments: badMessages)
    func plainIsRefused(message: String, fault: PlainMessage.Fault) {
        #expect(throws: fault) { try PlainMessage.decode(Self.base64(message)) }
    }

    @Test func namesThatAreNotUTF8AreRefused() {
        let message = Data([0, 0x6a, 0xf6, 0x65, 0, 0x73]).base64EncodedData()
        #expect(throws: PlainMessage.Fault.invalidAuthenticationID) { try PlainMessage.decode(Array(message)) }
    }

    @Test func aPasswordMayBeAnyBytes() throws {
        let password: [UInt8] = [0xff, 0xfe, 0x01, 0x0d, 0x0a]
        let message = Data([0, 0x6a, 0] + password).base64EncodedData()
        #expect(try PlainMessage.decode(Array(message)).password.withBytes { Array($0) } == password)
    }

    @Test(arguments: [nil, "jim"]) func plainIsWritten(authorization: String?) throws {
        let credentials = Credentials(
            authenticationID: Array("joe".utf8), authorizationID: authorization.map { Array($0.utf8) },
            password: Secret("s\u{e9}cret".utf8))
        #expect(PlainMessage.encode(credentials) == Self.base64("\(authorization ?? "")\0joe\0s\u{e9}cret"))
    }

    @Test func aNULIsNeverSmuggledIn() {
        for (name, password) in [("j\0e", "s"), ("joe", "s\0x")] {
            let credentials = Credentials(
                authenticationID: Array(name.utf8), authorizationID: nil, password: Secret(password.utf8))
            #expect(PlainMessage.encode(credentials) == nil)
        }
    }

    // MARK: SASLprep

    /// RFC 4013 section 3 has those of its examples that need no NFKC.
    static let names: [(String, String?)] = [
        ("user", "user"), ("USER", "USER"), ("I\u{ad}X", "IX"), ("\u{7}", nil),
        ("a\u{3000}b\u{2003}c\u{1680}", "a b c "),
        ("\u{feff}a\u{200b}b\u{fe0f}", "ab"), ("\u{9f}", nil), ("\u{e000}", nil), ("\u{10fffd}", nil),
        ("\u{fffd}", nil), ("\u{2ff0}", nil), ("\u{202e}evil", nil),
        ("\u{200f}", nil), ("\u{e0041}", nil), ("\u{2028}", nil), ("\u{1d173}", nil), ("\u{6dd}", nil),
        ("\u{340}", nil),
        ("\u{4f60}\u{597d}", "\u{4f60}\u{597d}"), ("\u{1f600}", "\u{1f600}"), ("\u{10fffc}", nil), ("", ""),
    ]

    @Test(arguments: names)
    func namesArePrepared(name: String, prepared: String?) {
        #expect(SASLprep.prepare(name.utf8) == prepared.map { Array($0.utf8) })
    }

    @Test(arguments: [0xfdd0, 0xfdef, 0xfffe, 0xffff, 0x1fffe, 0x10ffff] as [UInt32])
    func codesThatAreNoCharactersAreRefused(code: UInt32) throws {
        let scalar = try #require(Unicode.Scalar(code))
        #expect(SASLprep.prepare("a\(scalar)".utf8) == nil)
    }

    @Test(
        arguments: [[0xf6], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x61, 0xc3]] as [[UInt8]])
    func onlyUTF8IsPrepared(bytes: [UInt8]) {
        #expect(SASLprep.prepare(bytes) == nil)
    }
}
