import Glibc
import Testing

/// Input that no honest client or server sends: a clear answer or a clean close, and nobody else is harmed.
@Suite(.staged) struct BadInputTests {
    /// Plays `attack`, with a session of another user open all the time and a login afterwards.
    private func unharmed(_ flavour: Flavour, by attack: (Perdition, FakeServer) throws -> Void) throws {
        let server = try FakeServer.mail(flavour, users: ["joe": "secret"])
        let proxy = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let bystander = try proxy.client()
        #expect(try bystander.logIn(flavour) == flavour.success)
        let before = Set(proxy.family.filter { $0.name != "perdition.imap4" || $0.parent == proxy.process.pid })
        try attack(proxy, server)
        #expect(try bystander.ask("still there") == "you said still there")
        #expect(try proxy.client().logIn(flavour) == flavour.success)
        let dead = before.filter { !$0.isAlive }
        #expect(dead.isEmpty, "no process has died of it")
    }

    @Test(arguments: Flavour.allCases) func aLineOfAMegabyte(_ flavour: Flavour) throws {
        try unharmed(flavour) { proxy, _ in
            let client = try proxy.client()
            let line = Array((flavour == .imap4 ? "a LOGIN " : "USER ").utf8) + [UInt8](repeating: 120, count: 1 << 20)
            // The proxy may close while this is still on its way.
            try? client.send(line + [13, 10], within: 10)
            try expectNoLogin(client)
        }
    }

    @Test(arguments: Flavour.allCases) func endlessLinesCostNoMemory(_ flavour: Flavour) throws {
        try unharmed(flavour) { proxy, _ in
            let before = proxy.family.map(\.residentKiB).reduce(0, +)
            let clients = try (0..<20).map { _ in try proxy.client() }
            for client in clients { try? client.send([UInt8](repeating: 120, count: 4 << 20), within: 1) }
            let after = proxy.family.map(\.residentKiB).reduce(0, +)
            #expect(after - before < 40_000, "80 MB were sent; \(before) KiB before, \(after) KiB after")
        }
    }

    @Test(arguments: [
        "a LOGIN {4294967295}", "a LOGIN {4294967295+}", "a LOGIN {4294967296}", "a LOGIN {18446744073709551615}",
        "a LOGIN {18446744073709551616+}", "a LOGIN {99999999999999999999999999}", "a LOGIN {-1}", "a LOGIN {}",
        "a LOGIN {+}", "a LOGIN {1", "a LOGIN {1x}", "a LOGIN joe {4294967295}", "a LOGIN joe {1000000+}",
        "a LOGIN \"joe", "a LOGIN \"", "a LOGIN joe \"", "a LOGIN joe \"secret", "a LOGIN \\", "a \"LOGIN\" joe secret",
        "a LOGIN %s%n%s %n%n%n", "a LOGIN  joe secret", "a LOGIN joe secret ", "a LOGIN (joe) secret",
    ])
    func aLoginThatIsNone(_ line: String) throws {
        try unharmed(.imap4) { proxy, _ in
            let client = try proxy.client()
            try client.send(line + "\r\n")
            let answer = try client.lineOrEnd() ?? ""
            #expect(isRefusal(answer, tag: "a"), "\(answer)")
        }
    }

    @Test func aHugeLiteralIsRefusedBeforeItIsSent() throws {
        try unharmed(.imap4) { proxy, _ in
            let client = try proxy.client()
            try client.send("a LOGIN {4294967295}\r\n")
            let answer = try client.lineOrEnd() ?? ""
            #expect(!answer.hasPrefix("+"))
            let rude = try proxy.client()
            try rude.send("a LOGIN {4294967295+}\r\n")
            try? rude.send([UInt8](repeating: 120, count: 4 << 20), within: 5)
            try expectNoLogin(rude)
        }
    }

    // In these lines ~ stands for a NUL.
    @Test(arguments: [
        "a LOGIN jo~e secret", "a LOGIN joe secret~x", "a LOGIN {4+}\r\njoe~ secret", "a LOGIN joe {7+}\r\nsecret~",
    ])
    func aNULDoesNotCutANameOrPassword(_ line: String) throws {
        try unharmed(.imap4) { proxy, server in
            let client = try proxy.client()
            try client.send(line.replacing("~", with: "\0") + "\r\n")
            let answer = try client.lineOrEnd() ?? ""
            #expect(!answer.hasPrefix("a OK"), "\(answer)")
            #expect(!server.logins.dropFirst().contains { $0.user == "jo" })
        }
    }

    @Test(arguments: ["PASS secret~x", "PASS secret~", "PASS ~"]) func aNULDoesNotCutAPassword(_ line: String) throws {
        try unharmed(.pop3) { proxy, _ in
            let client = try proxy.client()
            _ = try client.ask("USER joe")
            try client.send(line.replacing("~", with: "\0") + "\r\n")
            #expect(try client.lineOrEnd()?.hasPrefix("+OK") != true)
        }
    }

    @Test func aLongTagDoesNotUncoverMemory() throws {
        try unharmed(.imap4) { proxy, _ in
            for length in [4090, 4096, 4100, 8192, 20_000] {
                let client = try proxy.client()
                let tag = String(repeating: "t", count: length)
                try? client.send("\(tag) NOOP\r\n")
                let answer = try client.lineOrEnd() ?? ""
                #expect(
                    answer == "\(tag) OK NOOP" || answer.hasPrefix("\(tag) BAD ") || isRefusal(answer, tag: "*"),
                    "\(answer.prefix(80))")
            }
        }
    }

    @Test func aLongNameDoesNotUncoverMemory() throws {
        try unharmed(.pop3) { proxy, _ in
            for length in [4080, 4090, 4096, 5000] {
                let client = try proxy.client()
                let user = String(repeating: "u", count: length)
                try? client.send("USER \(user)\r\n")
                let answer = try client.lineOrEnd() ?? ""
                #expect(
                    answer.isEmpty || answer.hasPrefix("+OK USER \(user) set") || answer.hasPrefix("-ERR "),
                    "\(answer.prefix(80))")
            }
        }
    }

    @Test(arguments: Flavour.allCases) func noise(_ flavour: Flavour) throws {
        try unharmed(flavour) { proxy, server in
            var generator = Noise(state: 1)
            for _ in 0..<200 {
                let client = try proxy.client()
                let bytes = (0..<Int.random(in: 1...400, using: &generator)).map { _ in
                    // Bytes that mean something come more often.
                    Bool.random(using: &generator)
                        ? Array("aLOGIN \"{}+\\\r\n\0".utf8).randomElement(using: &generator) ?? 0
                        : UInt8.random(in: 0...255, using: &generator)
                }
                try? client.send(bytes)
                client.shutdownWriting()
            }
            #expect(server.logins.count == 1, "nobody got in by chance")
        }
    }

    @Test(arguments: Flavour.allCases) func clientsThatComeAndGo(_ flavour: Flavour) throws {
        try unharmed(flavour) { proxy, _ in
            for number in 0..<300 {
                let client = try MailClient(proxy.port, greeted: number % 3 == 0)
                number % 2 == 0 ? client.reset() : client.hangUp()
            }
        }
    }

    /// A clear answer, or none and the end.
    private func isRefusal(_ answer: String, tag: String) -> Bool {
        answer.isEmpty || ["\(tag) BAD ", "\(tag) NO ", "* BYE "].contains { answer.hasPrefix($0) }
    }

    private func expectNoLogin(_ client: MailClient) throws {
        let answer = try client.lineOrEnd() ?? ""
        #expect(!answer.contains("You are so in"))
        #expect(answer.count < 10_000)
    }
}

/// The same noise in each run.
struct Noise: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
