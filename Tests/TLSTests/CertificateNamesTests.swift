import Testing

@testable import TLS

@Suite struct CertificateNamesTests {
    @Test(arguments: [
        ("mail.test", "mail.test", true),
        ("MAIL.TEST", "mail.test", true),
        ("mail.test", "Mail.Test.", true),
        ("*.test", "mail.test", true),
        ("*.example.test", "a.example.test", true),
        ("*.example.test", "a.b.example.test", false),
        ("*.example.test", "example.test", false),
        ("*.example.test", ".example.test", false),
        ("m*.test", "mail.test", false),
        ("*", "mail", false),
        ("*.", "mail.", false),
        ("*", "mail.test", false),
        ("a.*.test", "a.b.test", false),
        ("*.*.test", "a.b.test", false),
        ("", "", false),
        ("mail.test", "", false),
        ("mail.test\0.evil.test", "mail.test", false),
        ("mail.test", "mail.test\0", false),
        ("192.0.2.7", "192.0.2.7", true),
        ("*.0.2.7", "192.0.2.7", false),
        ("mail", "mail", true),
    ])
    func match(pattern: String, name: String, isMatch: Bool) {
        #expect(CertificateNames(names: [pattern]).match(PeerName(name)) == isMatch)
    }

    @Test func addresses() {
        let names = CertificateNames(addresses: [[192, 0, 2, 7], Array(repeating: 0, count: 15) + [1]])
        #expect(names.match(PeerName("192.0.2.7")))
        #expect(names.match(PeerName("::1")))
        #expect(names.match(PeerName("0:0::1")))
        #expect(!names.match(PeerName("::2")))
        #expect(!names.match(PeerName("192.0.2.70")))
        #expect(!names.match(PeerName("mail.test")))
    }

    @Test(arguments: [
        ("mail.test", "mail.test"), ("Mail.Test.", "mail.test"), ("192.0.2.7", nil), ("::1", nil), ("fe80::1%lo", nil),
        ("", nil), ("a b", nil), ("a\0b", nil), (String(repeating: "a", count: 256), nil),
    ])
    func indication(name: String, expected: String?) {
        #expect(PeerName(name).indication == expected)
    }
}
