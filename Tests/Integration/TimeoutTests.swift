import Testing

/// Nobody keeps a connection for ever, and nobody loses one that is in use.
@Suite(.staged) struct TimeoutTests {
    @Test(arguments: Flavour.allCases) func anIdleSessionEnds(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, ["--outgoing_server", "127.0.0.1:\(server.port)", "--timeout", "1"])
        let client = try proxy.client()
        let path = try client.path()
        #expect(try client.logIn(flavour) == flavour.success)
        #expect(try client.rest().isEmpty, "closed without a word")
        try eventually("the server is left too") { server.openConnections == 0 }
        _ = try proxy.message { $0 == "Timeout piping data." }
        _ = try proxy.message { $0.hasPrefix("Closing session: \(path) ") }
    }

    @Test(arguments: [true, false]) func oneDirectionInUseIsEnough(_ clientTalks: Bool) throws {
        let server = try FakeServer.mail(.imap4) { session in
            if clientTalks { return try session.waitForEnd() }
            for _ in 0..<30 {
                try session.say("* still here")
                Nap.milliseconds(150)
            }
            try session.say("* done")
            try session.waitForEnd()
        }
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)", "--timeout", "3"])
        let client = try proxy.client()
        #expect(try client.logIn(.imap4) == "a OK You are so in")
        if clientTalks {
            for number in 0..<30 {
                try client.send("\(number)\r\n")
                Nap.milliseconds(150)
            }
            try eventually("the server has read it all") { server.openConnections == 1 }
            #expect(!proxy.messages.contains("Timeout piping data."))
        } else {
            #expect(try client.lines { $0 == "* done" }.count == 31)
        }
    }

    @Test(arguments: Flavour.allCases) func aClientThatDoesNotLogInIsClosed(_ flavour: Flavour) throws {
        let proxy = try Perdition(flavour, ["--authenticate_timeout", "1"])
        let client = try proxy.client()
        let path = try client.path()
        #expect(try client.rest().isEmpty, "closed without a word")
        _ = try proxy.message {
            $0 == "Fatal Error: Timeout reading authentication information from client \(path): Exiting child"
        }
    }

    @Test func aClientThatStopsInTheMiddleIsClosed() throws {
        let proxy = try Perdition(.imap4, ["--authenticate_timeout", "1"])
        for beginning in ["a NOO", "a LOGIN {10+}\r\njo", "a LOGIN {3}\r\n"] {
            let client = try proxy.client()
            try client.send(beginning)
            _ = try client.rest()
        }
    }

    @Test func eachCommandBuysTimeBeforeTheLogin() throws {
        let proxy = try Perdition(.imap4, ["--authenticate_timeout", "3"])
        let client = try proxy.client()
        for _ in 0..<30 {
            #expect(try client.ask("a NOOP") == "a OK NOOP")
            Nap.milliseconds(150)
        }
    }

    @Test(arguments: Flavour.allCases) func theLoginTimeoutDoesNotReachIntoTheSession(_ flavour: Flavour) throws {
        let server = try FakeServer.mail(flavour)
        let options = ["--outgoing_server", "127.0.0.1:\(server.port)", "--authenticate_timeout", "1"]
        let client = try Perdition(flavour, options).client()
        #expect(try client.logIn(flavour) == flavour.success)
        #expect(!client.hasNews(within: 2.5), "nothing is said and nothing closed")
        #expect(try client.ask("hello") == "you said hello")
    }

    @Test func noTimeoutMeansNone() throws {
        let server = try FakeServer.mail(.imap4)
        let options = [
            "--outgoing_server", "127.0.0.1:\(server.port)", "--authenticate_timeout", "0", "--timeout", "0",
        ]
        let client = try Perdition(.imap4, options).client()
        #expect(!client.hasNews(within: 1))
        #expect(try client.logIn(.imap4) == "a OK You are so in")
        #expect(!client.hasNews(within: 1))
        #expect(try client.ask("hello") == "you said hello")
    }
}
