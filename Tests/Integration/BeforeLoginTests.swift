import Testing

/// What a client hears before it has logged in.
@Suite(.staged) struct BeforeLoginTests {
    @Test func imapGreetsWithItsCapabilities() throws {
        let proxy = try Perdition(.imap4)
        let greeting = try proxy.client().greeting
        #expect(
            greeting.wholeMatch(of: #/\* OK \[CAPABILITY IMAP4 IMAP4REV1\] perdition ready on \S+ [0-9a-f]{8}/#) != nil)
    }

    @Test func popGreets() throws {
        let proxy = try Perdition(.pop3)
        let greeting = try proxy.client().greeting
        #expect(greeting.hasPrefix("+OK POP3 "))
        #expect(greeting.contains(#/ ready on \S+ [0-9a-f]{8}$/#))
    }

    @Test func imapAnswersWithoutALogin() throws {
        let client = try Perdition(.imap4).client()
        #expect(try client.ask("a NOOP") == "a OK NOOP")
        #expect(try client.ask("b noop") == "b OK NOOP")
        #expect(try client.command("c CAPABILITY") == ["* CAPABILITY IMAP4 IMAP4REV1", "c OK CAPABILITY"])
        try client.send("d NOOP\n")
        #expect(try client.line() == "d OK NOOP", "a line feed alone ends a line too")
        let bye = try client.command("e LOGOUT")
        #expect(bye.count == 2 && bye[0].hasPrefix("* BYE"))
        #expect(bye.last == "e OK LOGOUT")
        #expect(try client.rest().isEmpty, "and the connection is closed")
    }

    @Test func popAnswersWithoutALogin() throws {
        let client = try Perdition(.pop3).client()
        try client.send("CAPA\r\n")
        let list = try client.lines { $0 == "." }
        #expect(list.first?.hasPrefix("+OK") == true)
        #expect(list.dropFirst() == ["UIDL", "USER", "."])
        #expect(try client.ask("USER joe").hasPrefix("+OK USER joe set"))
        #expect(try client.ask("user jane").hasPrefix("+OK USER jane set"))
        #expect(try client.ask("QUIT").hasPrefix("+OK"))
        #expect(try client.rest().isEmpty, "and the connection is closed")
    }

    @Test func imapRefusesWhatItDoesNotKnow() throws {
        let wanted = [
            "t XYZZY": "t BAD ", "t SELECT INBOX": "t BAD ", "t NOOP please": "t BAD ", "t LOGOUT now": "t BAD ",
            "t CAPABILITY all": "t BAD ", "t AUTHENTICATE PLAIN": "t NO ", "t AUTHENTICATE": "t BAD ",
            "t LOGIN": "t BAD ", "t LOGIN joe": "t BAD ", "t LOGIN joe secret more": "t BAD ",
            "t STARTTLS": "t BAD ", "t": "t BAD ", "t ": "t BAD ", "": "* BAD ", " t NOOP": "* BAD ",
            "t( NOOP": "* BAD ", "t* NOOP": "* BAD ", "t% NOOP": "* BAD ", "t\\ NOOP": "* BAD ", "\"t\" NOOP": "* BAD ",
            "t\u{e4} NOOP": "* BAD ",
        ]
        try check(wanted, on: Perdition(.imap4), thenAsk: "z NOOP", expecting: "z OK NOOP")
    }

    @Test func popRefusesWhatItDoesNotKnow() throws {
        let lines = [
            "USER", "USER joe jane", "PASS secret", "PASS", "CAPA all", "QUIT now", "XYZZ", "NOOP", "STAT",
            "AUTH PLAIN",
            "APOP joe 00", "AB", "", " USER joe", "STLS",
        ]
        let wanted = Dictionary(uniqueKeysWithValues: lines.map { ($0, "-ERR ") })
        try check(wanted, on: Perdition(.pop3), thenAsk: "USER joe", expecting: "+OK USER joe set")
    }

    @Test func theNameStaysWhenPassLacksItsArgument() throws {
        let server = try FakeServer.mail(.pop3)
        let client = try Perdition(.pop3, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        #expect(try client.ask("USER joe").hasPrefix("+OK"))
        #expect(try client.ask("PASS").hasPrefix("-ERR"))
        #expect(try client.ask("PASS secret") == "+OK You are so in")
    }

    @Test func commandsSentTogetherAreAllAnswered() throws {
        let client = try Perdition(.imap4).client()
        try client.send("a NOOP\r\nb CAPABILITY\r\nc NOOP\r\nd LOG")
        #expect(try client.line() == "a OK NOOP")
        #expect(try client.line() == "* CAPABILITY IMAP4 IMAP4REV1")
        #expect(try client.line() == "b OK CAPABILITY")
        #expect(try client.line() == "c OK NOOP")
        try client.send("OUT\r\n")
        #expect(try client.lines { $0 == "d OK LOGOUT" }.count == 2)
    }

    @Test func aLineMayArriveByteByByte() throws {
        let client = try Perdition(.imap4).client()
        for byte in "a NOOP\r\n".utf8 { try client.send([byte]) }
        #expect(try client.line() == "a OK NOOP")
    }

    /// Sends each line on a connection of its own, all at once since each refusal takes its three seconds; then asks
    /// something that must still work.
    private func check(
        _ wanted: [String: String], on proxy: Perdition, thenAsk question: String, expecting answer: String
    ) throws {
        let sessions = try wanted.map { (line: $0.key, answer: $0.value, client: try proxy.client()) }
        for session in sessions { try session.client.send(session.line + "\r\n") }
        for session in sessions {
            let heard = try session.client.line()
            #expect(heard.hasPrefix(session.answer), "\(session.line.debugDescription) heard \(heard)")
            let after = try session.client.ask(question)
            #expect(after.hasPrefix(answer), "after \(session.line.debugDescription): \(after)")
        }
    }
}
