import Loop
import Testing

@testable import Proxy

/// Headers of the PROXY protocol, versions 1 and 2, whole, in part and broken.
@Suite struct ProxyHeaderTests {
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]
    private static let four: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0x04, 0xd2, 0, 143]
    private static let six: [UInt8] =
        [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1, 0x20, 1, 0x0d, 0xb8]
        + [UInt8](repeating: 0, count: 11) + [2, 0x04, 0xd2, 0, 143]

    private static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    }

    /// `source>destination`, `-` for none; or what is wrong.
    private func read(_ bytes: [UInt8]) -> String {
        switch ProxyHeader.read(bytes) {
        case .incomplete: "incomplete"
        case .invalid(let reason): reason
        case .header(let header, let length):
            "\(header.source?.description ?? "-")>\(header.destination?.description ?? "-") \(length)"
        }
    }

    @Test(arguments: [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1234 143\r\nrest", "192.0.2.1:1234>198.51.100.2:143 44"),
        ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", "[2001:db8::1]:1>[::1]:65535 36"),
        ("PROXY UNKNOWN\r\n", "->- 15"), ("PROXY UNKNOWN anything at all\r\n", "->- 31"), ("", "incomplete"),
        ("PROX", "incomplete"), ("PROXY TCP4 192.0.2.1 ", "incomplete"),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1234 143\n", "a PROXY line without CR"),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1234\r\n", "a broken PROXY line"),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1234 65536\r\n", "a broken PROXY line"),
        ("PROXY TCP4 192.0.2.256 198.51.100.2 1234 1\r\n", "a broken PROXY line"),
        ("PROXY TCP4 ::1 ::1 1 1\r\n", "a broken PROXY line"),
        ("PROXY TCP6 1.2.3.4 ::1 1 1\r\n", "a broken PROXY line"),
        ("PROXY TCP6 fe80::1%lo ::1 1 1\r\n", "a broken PROXY line"),
        ("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", "a broken PROXY line"),
        ("PROXY TCP4  192.0.2.1 198.51.100.2 1 1\r\n", "a broken PROXY line"), ("PROXY \r\n", "a broken PROXY line"),
        ("proxy TCP4", "no PROXY header"), ("a NOOP\r\n", "no PROXY header"),
        ("PROXY " + String(repeating: "x", count: 200), "a PROXY line without end"),
    ])
    func readsLines(text: String, expected: String) {
        #expect(read(Array(text.utf8)) == expected)
    }

    @Test func readsBinary() {
        #expect(read(Self.binary(0x21, 0x11, Self.four) + [1]) == "192.0.2.1:1234>198.51.100.2:143 28")
        #expect(read(Self.binary(0x21, 0x21, Self.six)) == "[2001:db8::1]:1234>[2001:db8::2]:143 52")
        // Fields behind the addresses: one of nothing, one of two bytes.
        #expect(
            read(Self.binary(0x21, 0x11, Self.four + [4, 0, 0, 0xea, 0, 2, 7, 7]))
                == "192.0.2.1:1234>198.51.100.2:143 36")
        // The balancer's own, whatever it says; Unix sockets; datagrams; nothing.
        for (command, family, body) in [
            (0x20, 0, []), (0x20, 0x11, Self.four), (0x20, 0x77, [1, 2, 3]), (0x21, 0, []),
            (0x21, 0x31, [UInt8](repeating: 0, count: 216)), (0x21, 0x12, Self.four),
        ] as [(UInt8, UInt8, [UInt8])] {
            #expect(read(Self.binary(command, family, body)) == "->- \(16 + body.count)", "\(command) \(family)")
        }
        let mapped = [UInt8](repeating: 0, count: 10) + [255, 255, 192, 0, 2, 1]
        #expect(read(Self.binary(0x21, 0x21, mapped + mapped + [0, 1, 0, 2])) == "192.0.2.1:1>192.0.2.1:2 52")
    }

    @Test func refusesBrokenBinary() {
        for (command, family, body) in [
            (0x11, 0x11, Self.four), (0x22, 0x11, Self.four), (0x21, 0x13, Self.four), (0x21, 0x41, Self.four),
            (0x21, 0x11, Array(Self.four.dropLast())), (0x21, 0x21, Self.four), (0x21, 0x11, Self.four + [4, 0]),
            (0x21, 0x11, Self.four + [4, 0, 2, 1]),
        ] as [(UInt8, UInt8, [UInt8])] {
            #expect(read(Self.binary(command, family, body)) == "a broken PROXY header", "\(command) \(family) \(body)")
        }
        #expect(read(Self.signature + [0x21, 0x11, 0x10, 0]) == "a PROXY header of 4112 bytes, more than 4096")
        #expect(read([13, 10, 13, 10, 1]) == "no PROXY header")
        let whole = Self.binary(0x21, 0x11, Self.four)
        for count in 0..<whole.count { #expect(read(Array(whole[..<count])) == "incomplete") }
    }

    /// The check value of CRC-32C is known for these nine digits.
    @Test func checksTheSum() {
        #expect(ProxyHeader.crc32c(Array("123456789".utf8)) == 0xe306_9283)
        var header = Self.binary(0x21, 0x11, Self.four + [3, 0, 4, 0, 0, 0, 0])
        let sum = ProxyHeader.crc32c(header)
        for place in 0..<4 { header[31 + place] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * place)) }
        #expect(read(header) == "192.0.2.1:1234>198.51.100.2:143 35")
        header[16] = 193
        #expect(read(header) == "a broken PROXY header")
    }

    @Test func isWritten() {
        let four = ProxyHeader(
            source: SocketAddress(host: "192.0.2.1", port: 1234),
            destination: SocketAddress(host: "198.51.100.2", port: 143))
        #expect(four.bytes(.v1) == Array("PROXY TCP4 192.0.2.1 198.51.100.2 1234 143\r\n".utf8))
        #expect(four.bytes(.v2) == Self.binary(0x21, 0x11, Self.four))
        let six = ProxyHeader(
            source: SocketAddress(host: "2001:db8::1", port: 1234),
            destination: SocketAddress(host: "2001:db8::2", port: 143))
        #expect(six.bytes(.v1) == Array("PROXY TCP6 2001:db8::1 2001:db8::2 1234 143\r\n".utf8))
        #expect(six.bytes(.v2) == Self.binary(0x21, 0x21, Self.six))
        let mixed = ProxyHeader(source: four.source, destination: six.destination)
        #expect(mixed.bytes(.v1) == Array("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1234 143\r\n".utf8))
        #expect(read(mixed.bytes(.v2)) == "192.0.2.1:1234>[2001:db8::2]:143 52")
        let none = ProxyHeader(source: SocketAddress(path: "/run/x"), destination: four.destination)
        #expect(none.bytes(.v1) == Array("PROXY UNKNOWN\r\n".utf8))
        #expect(none.bytes(.v2) == Self.binary(0x20, 0, []))
    }

    // MARK: The client's address in the conversation

    @Test(arguments: [
        ("(\"x-proxy-ttl\" \"3\")", 3), ("(\"name\" \"x\" \"X-Proxy-TTL\" \"2\" \"os\" NIL)", 2), ("NIL", nil),
        ("(\"x-proxy-ttl\" \"many\")", nil), ("(\"x-proxy-ttl\")", nil), ("(\"name\" \"x-proxy-ttl\")", nil),
    ])
    func hopsAreRead(arguments: String, hops: Int?) {
        #expect(ClientFacts.hops(in: Array(arguments.utf8)) == hops)
    }

    /// What a real server hears of the client, by what it offers; and that a circle comes to an end.
    @Test(
        arguments: [
            (
                .imap4, "* OK [CAPABILITY ID] hi\r\n* ID NIL\r\nflim07 OK\r\nflim08 OK in\r\n",
                "flim07 ID (\"x-originating-ip\" \"192.0.2.1\" \"x-originating-port\" \"1234\" \"x-connected-ip\" "
                    + "\"198.51.100.2\" \"x-connected-port\" \"143\" \"x-proxy-ttl\" \"4\")\r\n"
                    + "flim08 LOGIN \"joe\" \"secret\"\r\n"
            ),
            (.imap4, "* OK [CAPABILITY X] hi\r\nflim07 OK in\r\n", "flim07 LOGIN \"joe\" \"secret\"\r\n"),
            (
                .pop3, "+OK [XCLIENT] hi\r\n+OK\r\n+OK\r\n+OK in\r\n",
                "XCLIENT ADDR=192.0.2.1 PORT=1234 TTL=4\r\nUSER joe\r\nPASS secret\r\n"
            ),
            (.pop3, "+OK hi\r\n+OK\r\n+OK in\r\n", "USER joe\r\nPASS secret\r\n"),
            (
                .managesieve, "\"SASL\" \"PLAIN\"\r\n\"XCLIENT\" \"ADDR PORT\"\r\nOK\r\nOK\r\nOK \"in\"\r\n",
                "XCLIENT ADDR=192.0.2.1 PORT=1234 TTL=4\r\nAUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n"
            ),
        ] as [(ProtocolName, String, String)])
    func theRealServerHearsWhoItIs(protocolName: ProtocolName, script: String, expected: String) async throws {
        for hops in [1, ClientFacts.mostHops] {
            let (result, heard) = try await hold(saying: Array(script.utf8)) { _, stream in
                var options = Options()
                options.protocolName = protocolName
                let back = Back(
                    stream: stream, options: options, identity: "me", host: "mail", address: try .sample())
                let server: any MailServer =
                    switch protocolName {
                    case .imap4: IMAP4Server(back)
                    case .pop3: POP3Server(back)
                    default: ManageSieveServer(back)
                    }
                let source = try #require(SocketAddress(host: "192.0.2.1", port: 1234))
                let destination = try #require(SocketAddress(host: "198.51.100.2", port: 143))
                do throws(ServerError) {
                    try back.introduce(source, at: destination, hops: hops)
                    try await server.open()
                    return try await server.logIn(Login("joe", "secret").credentials).answer.text
                } catch {
                    return "\(error)"
                }
            }
            if hops == 1 {
                #expect(result.contains("in a circle") && heard == "")
            } else {
                #expect(result.contains("in") && heard == expected, "\(result)")
            }
        }
    }

    /// With and without an address beside it; a server that lists what it takes is told no more.
    @Test func loginsHaveNames() throws {
        let source = try #require(SocketAddress(host: "192.0.2.1", port: 1234))
        let destination = try #require(SocketAddress(host: "198.51.100.2", port: 143))
        let alone = ClientFacts(addresses: nil, session: "s1", hops: 4)
        #expect(alone.identification == #"("x-session-id" "s1" "x-proxy-ttl" "4")"#)
        #expect(alone.command() == "XCLIENT SESSION=s1 TTL=4")
        #expect(alone.command(for: ["ADDR", "session"].map { Array($0.utf8) }) == "XCLIENT SESSION=s1 TTL=4")
        #expect(alone.command(for: []) == nil)
        let both = ClientFacts(addresses: (source, destination), session: "s1", hops: 3)
        #expect(
            both.identification
                == #"("x-session-id" "s1" "x-originating-ip" "192.0.2.1" "x-originating-port" "1234" "#
                + #""x-connected-ip" "198.51.100.2" "x-connected-port" "143" "x-proxy-ttl" "3")"#)
        #expect(both.command() == "XCLIENT ADDR=192.0.2.1 PORT=1234 SESSION=s1 TTL=3")
        #expect(both.command(for: [Array("ADDR".utf8)]) == "XCLIENT ADDR=192.0.2.1 PORT=1234 TTL=3")
        let names = Set((0..<100).map { _ in ClientFacts.newSession() })
        #expect(names.count == 100)
        #expect(names.allSatisfy { $0.wholeMatch(of: /[0-9a-z]{1,13}/) != nil })
    }

    /// The real server's capabilities, where they stand in its OK.
    @Test(arguments: [
        ("OK [CAPABILITY IMAP4rev1 IDLE] Logged in", "a OK [CAPABILITY IMAP4rev1 IDLE] You are so in\r\n"),
        ("OK Logged in", "a OK You are so in\r\n"), ("OK [ALERT] x] y", "a OK You are so in\r\n"),
        ("OK [CAPABILITY IMAP4rev1", "a OK You are so in\r\n"), ("OK", "a OK You are so in\r\n"),
    ])
    func capabilitiesAreHandedOn(answer: String, heard: String) async throws {
        let with = try await hold(.imap4, with: { $0.serverCapability = true }, saying: "a LOGIN joe x\r\n") {
            try await $0.accept(AcceptedLogin(answer: Array(answer.utf8)))
        }
        #expect(with.heard == heard)
        let without = try await hold(.imap4, saying: "a LOGIN joe x\r\n") {
            try await $0.accept(AcceptedLogin(answer: Array(answer.utf8)))
        }
        #expect(without.heard == "a OK You are so in\r\n")
    }
}
