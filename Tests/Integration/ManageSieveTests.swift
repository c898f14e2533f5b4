import Foundation
import Testing

/// ManageSieve through the whole program, in front of servers that do as they are told.
@Suite(.staged) struct ManageSieveTests {
    static func proxy(popmap: Popmap? = nil, _ options: [String] = []) throws -> Perdition {
        try Perdition(name: "perdition.managesieve", popmap: popmap, options)
    }

    static func client(_ proxy: Perdition) throws -> MailClient {
        let client = try proxy.client(greeted: false)
        let greeting = try client.lines { $0.hasPrefix("OK ") }
        #expect(greeting.contains("\"SASL\" \"PLAIN\""))
        return client
    }

    static func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    @Test func theAuthorizationIDDecidesWhere() throws {
        let servers = try (0..<2).map { _ in try FakeServer { try $0.serveManageSieve() } }
        let popmap = try Popmap(["joe:127.0.0.1:\(servers[0].port)", "jim:127.0.0.1:\(servers[1].port)"])
        let proxy = try Self.proxy(popmap: popmap, ["--strip_domain", "all"])
        for (message, sent, server) in [
            ("\0joe\0secret", "\0joe\0secret", 0), ("jim\0joe\0secret", "jim\0joe\0secret", 1),
            ("jim@x\0joe@x\0secret", "jim\0joe@x\0secret", 1), ("\0joe@x\0secret", "\0joe\0secret", 0),
        ] {
            let client = try Self.client(proxy)
            #expect(
                try client.ask("AUTHENTICATE \"PLAIN\" \"\(Self.base64(message))\"") == "OK \"You are so in\"")
            #expect(servers[server].users.last == Self.base64(sent))
        }
        let line = try proxy.message { $0.contains("Auth: ") && $0.contains("\"jim\"") }
        #expect(line.contains("authorisation_id=\"jim\" authentication_id=\"joe\""))
        #expect(line.contains("protocol=MANAGESIEVE server-secure=plaintext status=\"ok\""))
    }

    @Test func whatIsSentAheadReachesTheServer() throws {
        let server = try FakeServer { try $0.serveManageSieve() }
        let client = try Self.client(Self.proxy(["--outgoing_server", "127.0.0.1:\(server.port)"]))
        try client.send(
            "AUTHENTICATE \"PLAIN\" {16+}\r\nAGpvZQBzZWNyZXQ=\r\nLISTSCRIPTS\r\nPUTSCRIPT \"a\" {2+}\r\nhi\r\n")
        #expect(try client.line() == "OK \"You are so in\"")
        for line in ["LISTSCRIPTS", "PUTSCRIPT \"a\" {2+}", "hi"] { #expect(try client.line() == "you said \(line)") }
    }

    @Test func aPasswordTypedAfterTheChallengeWorks() throws {
        let server = try FakeServer { try $0.serveManageSieve() }
        let client = try Self.client(Self.proxy(["--outgoing_server", "127.0.0.1:\(server.port)"]))
        #expect(try client.ask("AUTHENTICATE \"PLAIN\"") == "\"\"")
        #expect(try client.ask("\"*\"") == "NO \"Authentication cancelled, mate\"")
        #expect(try client.ask("AUTHENTICATE \"PLAIN\"") == "\"\"")
        #expect(try client.ask("\"AGpvZQBzZWNyZXQ=\"") == "OK \"You are so in\"")
    }

    @Test func aServerThatIsDownIsATemporaryFault() throws {
        let proxy = try Self.proxy(["--outgoing_server", "127.0.0.1:\(FreePort.next())"])
        let client = try Self.client(proxy)
        let login = "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\""
        #expect(try client.ask(login) == "NO (TRYLATER) \"failed: Could not connect to server\"")
        #expect(try client.ask("NOOP \"still here\"") == "OK (TAG \"still here\") \"NOOP completed, mate\"")
    }

    @Test func aCircleEndsAtOnce() throws {
        let popmap = try Popmap()
        let proxy = try Self.proxy(popmap: popmap)
        try popmap.replace(with: ["joe:127.0.0.1:\(proxy.port)"])
        let client = try Self.client(proxy)
        let login = "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\""
        #expect(try client.ask(login) == "NO (TRYLATER) \"failed: Connection Negotiation Failure\"")
        #expect(proxy.messages.filter { $0.hasPrefix("Connect: ") }.count == 2, "the client and one turn")
    }

    @Test func anIdleSessionIsToldSo() throws {
        let server = try FakeServer { try $0.serveManageSieve() }
        let proxy = try Self.proxy(["--outgoing_server", "127.0.0.1:\(server.port)", "--timeout", "1"])
        let client = try Self.client(proxy)
        #expect(try client.ask("AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"") == "OK \"You are so in\"")
        #expect(try client.restText() == "BYE \"Timeout\"\r\n")
        _ = try proxy.message { $0 == "Timeout piping data." }
    }

    @Test func noWordIntoTheMiddleOfAnAnswer() throws {
        let server = try FakeServer {
            try $0.serveManageSieve { session in
                try session.send([UInt8](repeating: 0x78, count: 30_000_000), within: 60)
            }
        }
        let proxy = try Self.proxy(["--outgoing_server", "127.0.0.1:\(server.port)", "--timeout", "2"])
        let client = try Self.client(proxy)
        #expect(try client.ask("AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"") == "OK \"You are so in\"")
        // The client reads nothing, so the answer is stuck on its way when the time is over.
        _ = try proxy.message { $0 == "Timeout piping data." }
        #expect(try !client.restText(within: 60).contains("BYE"))
    }

    @Test(arguments: ["PUTSCRIPT \"x\" {4294967296+}\r\n", "AUTHENTICATE \"PLAIN\" {8193+}\r\n"])
    func aLiteralOfAnySizeIsNotKept(line: String) throws {
        let client = try Self.client(Self.proxy())
        try client.send(line)
        #expect(try client.restText() == "BYE \"Command too long, mate\"\r\n")
    }

    @Test func aLongLineEndsTheConnection() throws {
        let client = try Self.client(Self.proxy())
        try? client.send([UInt8](repeating: 0x78, count: 1_000_000))
        #expect(try client.restText() == "BYE \"Line too long, mate\"\r\n")
    }
}
