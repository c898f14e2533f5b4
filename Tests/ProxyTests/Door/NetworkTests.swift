import Loop
import Testing

@testable import Proxy

/// Ranges of addresses, and who counts as one client.
@Suite struct NetworkTests {
    private func contains(_ network: String, _ host: String) throws -> Bool {
        try #require(Network(network)).contains(try #require(SocketAddress(host: host, port: 1)))
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.0", "192.0.1.255"), ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"), ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.8"), ("128.0.0.0/1", "255.255.255.255", "127.255.255.255"),
        ("0.0.0.0/0", "203.0.113.9", "::1"), ("::/0", "2001:db8::1", "203.0.113.9"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("2001:db8::/64", "2001:db8::ffff:0:0:1", "2001:db8:0:1::"),
        ("2001:db8:0:0:8000::/65", "2001:db8::8000:0:0:1", "2001:db8::7fff:0:0:1"), ("::1", "::1", "::2"),
        ("2001:db8::5/128", "2001:db8::5", "2001:db8::4"), ("192.0.2.0/24", "::ffff:192.0.2.9", "::c000:209"),
    ])
    func containsWhatItSays(_ network: String, _ inside: String, _ outside: String) throws {
        // A socket for both families shows IPv4 clients as ::ffff:…; the kernel's form is what counts.
        if !inside.hasPrefix("::ffff:") { #expect(try contains(network, inside)) }
        #expect(try !contains(network, outside))
        #expect(Network(network)?.description == network)
    }

    @Test(arguments: [
        "", "/", "192.0.2.0/", "/24", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.0/24/8", "192.0.2.1/24",
        "2001:db8::/129", "2001:db8::1/64", "2001:db8::/0", "fe80::1%lo", "192.0.2", "example.com", "10.0.0.0/08x",
        "10.0.0.0/9999999999999999999999",
    ])
    func whatIsNoNetworkIsRefused(_ text: String) {
        #expect(Network(text) == nil)
    }

    @Test func aSubscriberIsOneClient() throws {
        func origin(_ host: String) throws -> Origin {
            let address = try #require(SocketAddress(host: host, port: UInt16.random(in: 1...65535)))
            return try #require(Origin(address))
        }
        #expect(try origin("192.0.2.1") == origin("192.0.2.1"))
        #expect(try origin("192.0.2.1") != origin("192.0.2.2"))
        #expect(try origin("2001:db8::1") == origin("2001:db8::ffff:ffff:ffff:ffff"))
        #expect(try origin("2001:db8::1") != origin("2001:db8:0:1::1"))
        #expect(try origin("0.0.0.0") != origin("::"), "families do not mix")
        #expect(Origin(SocketAddress.of(-1, peer: true)) == nil)
    }

    @Test func theOptionTakesAList() throws {
        var options = Options()
        let option = try #require(OptionList.all.first { $0.name == "trusted_networks" })
        try option.kind.take(&options, "10.0.0.0/8, 2001:db8::/32,192.0.2.1", option)
        #expect(options.trustedNetworks.map(\.description) == ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])
        try option.kind.take(&options, "", option)
        #expect(options.trustedNetworks == [])
        #expect(throws: OptionKind.Problem.self) { try option.kind.take(&options, "10.0.0.1/8", option) }
        #expect(Options().trustedNetworks.count == 2)
    }
}
