import Testing

/// From the login to the relay: nothing is lost, in either direction, until both are done.
@Suite(.staged) struct HandOverTests {
    @Test(arguments: Flavour.allCases) func commandsBehindTheLoginAreNotLost(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let client = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        switch flavour {
        case .imap4: try client.send("a LOGIN joe secret\r\nb ONE\r\nc TWO\r\n")
        case .pop3:
            try client.send("USER joe\r\nPASS secret\r\nb ONE\r\nc TWO\r\n")
            #expect(try client.line().hasPrefix("+OK USER joe set"))
        }
        #expect(try client.line().hasSuffix("OK You are so in"))
        #expect(try client.line() == "you said b ONE")
        #expect(try client.line() == "you said c TWO")
        #expect(try client.ask("d THREE") == "you said d THREE")
    }

    @Test func commandsBehindALiteralPasswordAreNotLost() throws {
        let server = try FakeServer.mail(.imap4)
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        try client.send("a LOGIN joe {6+}\r\nsecret\r\nb ONE\r\n")
        #expect(try client.line() == "a OK You are so in")
        #expect(try client.line() == "you said b ONE")
    }

    @Test(arguments: Flavour.allCases) func whatTheServerSaysBehindItsOKIsNotLost(_ flavour: Flavour) throws {
        let eager = try FakeServer { session in
            switch flavour {
            case .imap4:
                try session.say("* OK ready")
                while let (tag, words) = try session.imapCommand() {
                    if words.first == "LOGIN" {
                        try session.send("\(tag) OK in\r\n* 5 EXISTS\r\n* 1 RECENT\r\n")
                        return try session.waitForEnd()
                    }
                    try session.send("* CAPABILITY IMAP4rev1\r\n\(tag) OK\r\n")
                }
            case .pop3:
                try session.say("+OK ready")
                try session.refuseCAPA()
                _ = try session.line()
                try session.say("+OK")
                _ = try session.line()
                try session.send("+OK in\r\n* 5 EXISTS\r\n* 1 RECENT\r\n")
                try session.waitForEnd()
            }
        }
        let client = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(eager.port)"]).client()
        let answer = try client.logIn(flavour)
        #expect(answer.hasSuffix("OK You are so in"))
        #expect(try client.line() == "* 5 EXISTS")
        #expect(try client.line() == "* 1 RECENT")
    }

    @Test func untaggedLinesAheadOfTheOKReachTheClient() throws {
        let server = try FakeServer { session in
            try session.say("* OK ready")
            while let (tag, words) = try session.imapCommand() {
                if words.first == "LOGIN" {
                    try session.send("* CAPABILITY IMAP4rev1 QUOTA\r\n\(tag) OK in\r\n")
                    return try session.waitForEnd()
                }
                try session.send("* CAPABILITY IMAP4rev1\r\n\(tag) OK\r\n")
            }
        }
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        let heard = try client.command("a LOGIN joe secret")
        #expect(heard.contains("* CAPABILITY IMAP4rev1 QUOTA"))
        #expect(heard.last == "a OK You are so in")
    }

    @Test(arguments: Flavour.allCases) func theServersAnswerArrivesAfterTheClientHasFinished(_ flavour: Flavour) throws
    {
        let size = 3_000_000
        let server = try FakeServer.mail(flavour) { session in
            let asked = try session.rest()
            try session.send("you sent \(asked.count) bytes\r\n")
            try session.send([UInt8](repeating: 120, count: size))
        }
        let client = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        _ = try client.logIn(flavour)
        try client.send("last words\r\n")
        client.shutdownWriting()
        #expect(try client.line() == "you sent 12 bytes")
        #expect(try client.rest().count == size)
    }

    @Test(arguments: Flavour.allCases) func theClientMayGoOnAfterTheServerHasFinished(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour) { session in
            try session.say("that is all")
            session.shutdownWriting()
            while try session.lineOrEnd(within: 60) != nil {}
        }
        let client = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        _ = try client.logIn(flavour)
        #expect(try client.line() == "that is all")
        #expect(try client.lineOrEnd() == nil)
        try client.send("something still\r\n")
        client.shutdownWriting()
        try eventually("the server has read the last line") { server.received.contains("something still") }
        try eventually("both ends are closed") { server.openConnections == 0 }
    }

    @Test(arguments: Flavour.allCases) func oneEndGoesAndTheOtherFollows(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        for isReset in [false, true] {
            let client = try proxy.client()
            _ = try client.logIn(flavour)
            #expect(server.openConnections == 1)
            isReset ? client.reset() : client.hangUp()
            try eventually("the server's connection is closed") { server.openConnections == 0 }
        }
        let client = try proxy.client()
        _ = try client.logIn(flavour)
        server.stop()
        #expect(try client.rest().isEmpty)
    }

    @Test(arguments: Flavour.allCases) func aClientThatDoesNotFollowTheServerIsLeftBehind(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)"])
        let client = try proxy.client()
        let path = try client.path()
        #expect(try client.logIn(flavour) == flavour.success)
        #expect(try client.ask("QUIT") == "bye")
        #expect(try client.rest().isEmpty)
        // The client keeps its end open, and the idle timeout is far away.
        let line = try proxy.message(within: 60) { $0.hasPrefix("Closing session: \(path) ") }
        #expect(!line.isEmpty && !proxy.messages.contains("Timeout piping data."))
        try eventually("both ends are closed") { server.openConnections == 0 }
    }

    @Test func muchDataFlowsBothWaysAtOnce() throws {
        let size = 8_000_000
        let server = try FakeServer.mail(.imap4) { session in
            while let line = try session.lineOrEnd(within: 60) { try session.say(line) }
        }
        let client = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)"]).client()
        _ = try client.login("joe", "secret")
        let line = String(repeating: "0123456789", count: 100)
        var echoed = 0
        // A window keeps this single thread from waiting for itself.
        for number in 0..<size / 1002 {
            try client.send(line + "\r\n")
            if number >= 20 {
                echoed += try client.line().utf8.count
            }
        }
        client.shutdownWriting()
        while let line = try client.lineOrEnd() { echoed += line.utf8.count }
        #expect(echoed == size / 1002 * 1000)
    }
}
