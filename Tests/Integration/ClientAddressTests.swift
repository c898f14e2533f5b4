import Foundation
import Testing

/// Whose connection it is, said by a load balancer in front and handed on to the real server.
@Suite(.staged) struct ClientAddressTests {
    private static let line = "PROXY TCP4 203.0.113.7 198.51.100.1 4321 143\r\n"
    private static let binary: [UInt8] =
        [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x21, 0x11, 0, 19] + [203, 0, 113, 7, 198, 51, 100, 1]
        + [0x10, 0xe1, 0, 143] + [4, 0, 4, 0, 0, 0, 0]

    private static let trusting = ["--proxy_networks", "127.0.0.0/8"]

    private func client(_ proxy: Perdition, _ header: [UInt8], greeting: String) throws -> MailClient {
        let client = try proxy.client(greeted: false)
        try client.send(header)
        _ = try client.lines { $0.hasPrefix(greeting) }
        return client
    }

    @Test func aBalancerNamesTheClient() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, Self.trusting + ["--outgoing_server", "127.0.0.1:\(server.port)"])
        for header in [Array(Self.line.utf8), Self.binary] {
            let client = try client(proxy, header, greeting: "* OK")
            #expect(try client.login("joe", "secret") == "a OK You are so in")
            _ = try client.ask("hello")
        }
        // In pieces, and with the first command right behind it.
        let slow = try proxy.client(greeted: false)
        for byte in Self.binary + Array("a LOGIN joe secret\r\n".utf8) { try slow.send([byte]) }
        #expect(try slow.line().hasPrefix("* OK"))
        #expect(try slow.line() == "a OK You are so in")
        let route = "203.0.113.7:4321->198.51.100.1:143"
        try eventually("the log") { proxy.messages.count { $0.hasPrefix("Auth: \(route) ") } == 3 }
        #expect(proxy.messages.count { $0 == "Connect:  \(route)" } == 3)
    }

    @Test func aBalancersOwnConnectionIsItsOwn() throws {
        let proxy = try Perdition(.pop3, Self.trusting)
        let own = Array(Self.binary[..<12]) + [0x20, 0, 0, 0]
        for header in [Array("PROXY UNKNOWN\r\n".utf8), own] {
            let client = try client(proxy, header, greeting: "+OK")
            let path = try client.path()
            _ = try proxy.message { $0 == "Connect:  \(path)" }
        }
    }

    @Test(arguments: ["a LOGIN joe secret\r\n", "PROXY TCP4 1.2.3.4\r\n", "\r\n\r\n\r\n"])
    func withoutAHeaderItIsClosed(said: String) throws {
        let proxy = try Perdition(.imap4, Self.trusting)
        let client = try proxy.client(greeted: false)
        try client.send(said)
        #expect(try client.rest() == [])
        let line = try proxy.message { $0.hasPrefix("Connection from 127.0.0.1:") }
        #expect(line.contains("which is in --proxy_networks, was closed: it began with "))
        #expect(!line.contains("secret"))
    }

    @Test func othersAreClientsAsEver() throws {
        let proxy = try Perdition(.imap4, ["--proxy_networks", "192.0.2.0/24,2001:db8::/32"])
        let client = try proxy.client()
        try client.send(Self.line)
        #expect(try client.line().hasSuffix("BAD Unrecognised command, mate"))
    }

    /// Counted is the client, not the balancer.
    @Test func limitsAreThoseOfTheClient() throws {
        let proxy = try Perdition(.imap4, Self.trusting + ["--logins_per_address", "1"])
        let first = try client(proxy, Array(Self.line.utf8), greeting: "* OK")
        let second = try proxy.client(greeted: false)
        try second.send(Self.line)
        #expect(try second.line() == "* BYE Too many connections from your address, mate")
        _ = try client(proxy, Array(Self.line.replacing("113.7", with: "113.8").utf8), greeting: "* OK")
        withExtendedLifetime(first) {}
    }

    // MARK: On to the real server

    /// Dovecot logs the client's address as rip=.
    @Test(arguments: ["imap4", "pop3", "managesieve", "v1", "v2"]) func dovecotLearnsWhoItIs(how: String) throws {
        let behind = try FreePort.next()
        let store = try Dovecot(
            users: ["alice": "a secret"], sieve: true,
            extra: [
                "dovecot.conf": """
                login_trusted_networks = 127.0.0.0/8
                haproxy_trusted_networks = 127.0.0.0/8
                service imap-login {
                  inet_listener imap_behind {
                    port = \(behind)
                    haproxy = yes
                  }
                }
                """
            ])
        let ports = ["imap4": store.imapPort, "pop3": store.pop3Port, "managesieve": store.sievePort]
        let popmap = try Popmap(["alice:127.0.0.1:\(ports[how] ?? behind)"])
        let option = how.hasPrefix("v") ? ["--outgoing_proxy_protocol", how] : ["--forward_client_address"]
        let proxy = try Perdition(
            name: "perdition.\(ports[how] == nil ? "imap4" : how)", popmap: popmap, Self.trusting + option)
        let client = try logIn(proxy, how)
        defer { client.hangUp() }
        try eventually("Dovecot's log") { store.log.contains("Login: user=<alice>") }
        let line = store.log.split(separator: "\n").first { $0.contains("Login: user=<alice>") } ?? ""
        #expect(line.contains("rip=203.0.113.7,"), "\(line)")
    }

    /// Logs alice in from 203.0.113.7, in a protocol.
    private func logIn(_ proxy: Perdition, _ how: String) throws -> MailClient {
        let client = try client(
            proxy, Array(Self.line.utf8), greeting: how == "pop3" ? "+OK" : how == "managesieve" ? "OK" : "* OK")
        switch how {
        case "pop3": #expect(try client.pass("alice", "a secret") == "+OK You are so in")
        case "managesieve":
            let message = Data("\0alice\0a secret".utf8).base64EncodedString()
            #expect(try client.ask("AUTHENTICATE \"PLAIN\" \"\(message)\"") == "OK \"You are so in\"")
        default:
            try client.send("a LOGIN alice \"a secret\"\r\n")
            #expect(try client.lines { $0.hasPrefix("a ") }.last == "a OK You are so in")
        }
        return client
    }

    /// Dovecot's line of a login, and that of its session, end with the name our log has.
    @Test(arguments: ["imap4", "pop3", "managesieve"], [[], ["--forward_client_address"]])
    func dovecotsLogAndOursNameALoginAlike(how: String, more: [String]) throws {
        let store = try Dovecot(
            users: ["alice": "a secret"], sieve: true,
            extra: ["dovecot.conf": "login_trusted_networks = 127.0.0.0/8\n"])
        let ports = ["imap4": store.imapPort, "pop3": store.pop3Port, "managesieve": store.sievePort]
        let popmap = try Popmap(["alice:127.0.0.1:\(try #require(ports[how]))"])
        let proxy = try Perdition(
            name: "perdition.\(how)", popmap: popmap, ["--forward_session_id"] + Self.trusting + more)
        let client = try logIn(proxy, how)
        defer { client.hangUp() }
        try eventually("Dovecot's log") { store.log.contains("Login: user=<alice>") }
        let route = "203.0.113.7:4321->198.51.100.1:143"
        let ours = try proxy.message { $0.hasPrefix("Session: \(route) session=<") }
        let session = try #require(ours.split(separator: " ").last)
        let theirs = store.log.split(separator: "\n").first { $0.contains("Login: user=<alice>") } ?? ""
        #expect(theirs.hasSuffix(", \(session)") || theirs.contains(", \(session),"), "\(theirs)\n\(ours)")
        #expect(theirs.contains("rip=203.0.113.7,") != more.isEmpty, "\(theirs)")
        // What programs read is as ever.
        _ = try proxy.message { $0.hasPrefix("Auth: \(route) client-secure=") && $0.hasSuffix("status=\"ok\"") }
    }

    @Test func withoutTheOptionLoginsHaveNoNames() throws {
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        _ = try proxy.message { $0.hasPrefix("Auth: ") }
        #expect(!proxy.process.log.contains("Session:"))
    }
}
