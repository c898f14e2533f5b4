import CLinux
import Glibc
import Loop
import Synchronization
import Testing

@testable import Proxy

/// Whole sessions on one loop: a client, a popmap and a real server that the test plays.
@Suite(.timeLimit(.minutes(2))) struct SessionTests {
    /// Greets, lets joe in with his password and repeats his lines; LOGOUT ends it.
    private static func imap4(
        _ notes: Notes
    ) -> @Sendable (isolated Loop, Stream) async throws -> Void {
        { _, stream in
            notes.add("connected")
            try await stream.send("* OK [CAPABILITY IMAP4rev1] ready\r\n")
            while true {
                let line = try await stream.text()
                notes.add(line)
                let tag = line.prefix { $0 != " " }
                if line.hasSuffix("LOGOUT") { return try await stream.send("* BYE\r\n\(tag) OK\r\n") }
                guard line.hasSuffix("LOGIN \"joe\" \"secret\"") else {
                    try await stream.send("\(tag) NO [AUTHENTICATIONFAILED] who?\r\n")
                    continue
                }
                try await stream.send("* CAPABILITY X\r\n\(tag) OK welcome\r\n")
                while true { try await stream.send("you said \(try await stream.text())\r\n") }
            }
        }
    }

    private static func options(_ set: (inout Options) -> Void = { _ in }) -> Options {
        var options = Options()
        options.protocolName = .imap4
        options.noLookup = true
        set(&options)
        return options
    }

    private static func server(_ address: SocketAddress) -> ServerAddress {
        ServerAddress(host: address.host, port: String(address.port))
    }

    // MARK: Success

    @Test(arguments: ["127.0.0.1", "::1"]) func logsInAndRelays(host: String) async throws {
        try await onLoop { loop in
            let notes = Notes()
            let store = try FakeStore(on: loop, Self.imap4(notes))
            let guest = try Guest(
                on: loop, Self.options { $0.outgoingServer = [Self.server(store.address)] }, host: host)
            let greeting = try await guest.stream.text()
            #expect(greeting.hasPrefix("* OK [CAPABILITY IMAP4 IMAP4REV1] perdition ready on \(host) "))
            #expect(try await guest.ask("a LOGIN joe secret") == "* CAPABILITY X")
            #expect(try await guest.stream.text() == "a OK You are so in")
            #expect(try await guest.ask("b SELECT INBOX") == "you said b SELECT INBOX")
            guest.stream.close()
            #expect(
                await guest.logLine(loop, beginning: "info: Closing session:") == """
                    info: Closing session: \(guest.route) authorisation_id=NONE authentication_id="joe" \
                    received=16 sent=25
                    """)
            #expect(
                guest.book.lines.prefix(2) == [
                    "info: Connect:  \(guest.route)",
                    """
                    notice: Auth: \(guest.route) client-secure=plaintext authorisation_id=NONE authentication_id="joe" \
                    server="127.0.0.1:\(store.address.port)" protocol=IMAP4 server-secure=plaintext status="ok"
                    """,
                ])
            #expect(notes.all == ["connected", "flim07 LOGIN \"joe\" \"secret\""])
        }
    }

    /// Everything in one packet, before the real server is known.
    @Test func losesNothingThatWasSentAhead() async throws {
        try await onLoop { loop in
            let store = try FakeStore(on: loop, Self.imap4(Notes()))
            let guest = try Guest(on: loop, Self.options { $0.outgoingServer = [Self.server(store.address)] })
            try await guest.stream.send("a LOGIN joe secret\r\nb ONE\r\nc TWO\r\nd LO")
            _ = try await guest.stream.text()
            #expect(try await guest.stream.text() == "* CAPABILITY X")
            #expect(try await guest.stream.text() == "a OK You are so in")
            #expect(try await guest.stream.text() == "you said b ONE")
            #expect(try await guest.stream.text() == "you said c TWO")
            #expect(try await guest.ask("GO") == "you said d LOGO")
            guest.stream.close()
        }
    }

    /// A real server that has more to say in the packet with its OK.
    @Test func losesNothingThatTheServerSentAhead() async throws {
        try await onLoop { loop in
            let store = try FakeStore(on: loop) { _, stream in
                try await stream.send("* OK [CAPABILITY IMAP4rev1] ready\r\n")
                _ = try await stream.text()
                try await stream.send("flim07 OK in\r\n* 5 EXISTS\r\n* 1 REC")
                _ = try await stream.text()
                try await stream.send("ENT\r\n")
            }
            let guest = try Guest(on: loop, Self.options { $0.outgoingServer = [Self.server(store.address)] })
            try await guest.stream.send("a LOGIN joe secret\r\n")
            _ = try await guest.stream.text()
            #expect(try await guest.stream.text() == "a OK You are so in")
            #expect(try await guest.stream.text() == "* 5 EXISTS")
            #expect(try await guest.ask("go on") == "* 1 RECENT")
            #expect(try await guest.stream.rest() == "")
        }
    }

    // MARK: The popmap

    @Test func asksThePopmap() async throws {
        try await onLoop { loop in
            let notes = Notes()
            let keys = Notes()
            let store = try FakeStore(on: loop, Self.imap4(notes))
            let map = try FakeMap(on: loop, ["joe": "OK joe@\(store.address)", "Joe!X": "OK nowhere:1"], notes: keys)
            let guest = try Guest(
                on: loop,
                Self.options {
                    $0.queryKey = ["\\U!none", "\\u"]
                    $0.lowerCase = .serverLookup
                    $0.usernameFromDatabase = true
                }, map: map.path)
            _ = try await guest.stream.text()
            #expect(try await guest.ask("a LOGIN Joe@X secret") == "* CAPABILITY X")
            #expect(keys.all == ["joe@x!none", "joe"])
            #expect(notes.all.last == "flim07 LOGIN \"joe\" \"secret\"")
            let auth = await guest.logLine(loop, beginning: "notice: Auth:")
            #expect(auth?.contains("authentication_id=\"joe\" server=\"127.0.0.1:\(store.address.port)\"") == true)
            guest.stream.close()
        }
    }

    @Test(
        arguments: [
            ("TEMP down", "a NO [UNAVAILABLE] failed: Temporary lookup failure"),
            ("PERM broken", "a NO [UNAVAILABLE] failed: Temporary lookup failure"),
            ("OK :143", "a NO [UNAVAILABLE] failed: Temporary lookup failure"),
            ("NOTFOUND ", "a NO failed: Could not determine server"),
            ("OK 127.0.0.1:1", "a NO [UNAVAILABLE] failed: Could not connect to server"),
            ("OK no such host.invalid", "a NO [UNAVAILABLE] failed: Temporary lookup failure"),
        ])
    func tellsWhatIsWrongWithTheMap(reply: String, answer: String) async throws {
        try await onLoop { loop in
            let map = try FakeMap(on: loop, ["joe": reply])
            let guest = try Guest(on: loop, Self.options(), map: map.path)
            _ = try await guest.stream.text()
            #expect(try await guest.ask("a LOGIN joe secret") == answer)
            // The client may go on.
            #expect(try await guest.ask("b NOOP") == "b OK NOOP")
            guest.stream.close()
        }
    }

    @Test func aMapThatIsDownIsNoReasonForAWrongPassword() async throws {
        try await onLoop { loop in
            let guest = try Guest(on: loop, Self.options(), map: "/tmp/perdition-no-such-map")
            _ = try await guest.stream.text()
            #expect(
                try await guest.ask("a LOGIN joe secret") == "a NO [UNAVAILABLE] failed: Temporary lookup failure")
            guest.stream.close()
        }
    }

    /// What is not in the map goes to --outgoing_server, in turn.
    @Test func usesOutgoingServersInTurn() async throws {
        try await onLoop { loop in
            let notes = [Notes(), Notes()]
            let stores = [try FakeStore(on: loop, Self.imap4(notes[0])), try FakeStore(on: loop, Self.imap4(notes[1]))]
            let map = try FakeMap(on: loop, [:])
            let servers = stores.map { Self.server($0.address) }
            let guest = try Guest(on: loop, Self.options { $0.outgoingServer = servers }, map: map.path)
            _ = try await guest.stream.text()
            for _ in 0..<3 {
                let answer = try await guest.ask("a LOGIN joe wrong")
                #expect(answer == "a NO [AUTHENTICATIONFAILED] failed: Re-Authentication Failure")
            }
            #expect(notes.map { $0.all.count { $0 == "connected" } } == [2, 1])
            guest.stream.close()
        }
    }

    @Test func theUserMayNameTheServer() async throws {
        try await onLoop { loop in
            let notes = Notes()
            let store = try FakeStore(on: loop, Self.imap4(notes))
            let guest = try Guest(on: loop, Self.options { $0.clientServerSpecification = true })
            _ = try await guest.stream.text()
            #expect(try await guest.ask("a LOGIN joe@\(store.address) secret") == "* CAPABILITY X")
            #expect(notes.all.last == "flim07 LOGIN \"joe\" \"secret\"")
            guest.stream.close()
        }
    }

    // MARK: Failure

    /// The same client, wrong and then right; each attempt is a connection of its own.
    @Test func aRefusedClientMayTryAgain() async throws {
        try await onLoop { loop in
            let notes = Notes()
            let store = try FakeStore(on: loop, Self.imap4(notes))
            let guest = try Guest(on: loop, Self.options { $0.outgoingServer = [Self.server(store.address)] })
            _ = try await guest.stream.text()
            let refusal = "NO [AUTHENTICATIONFAILED] failed: Re-Authentication Failure"
            #expect(try await guest.ask("a LOGIN joe wrong") == "a \(refusal)")
            #expect(try await guest.ask("b LOGIN ann secret") == "b \(refusal)")
            #expect(try await guest.ask("c LOGIN joe secret") == "* CAPABILITY X")
            #expect(
                notes.all == [
                    "connected", "flim07 LOGIN \"joe\" \"wrong\"", "flim08 LOGOUT", "connected",
                    "flim07 LOGIN \"ann\" \"secret\"", "flim08 LOGOUT", "connected", "flim07 LOGIN \"joe\" \"secret\"",
                ])
            let statuses = guest.book.lines.filter { $0.contains("Auth:") }.map { $0.suffix(42) }
            #expect(statuses.prefix(2).allSatisfy { $0.hasSuffix("status=\"failed: Re-Authentication Failure\"") })
            guest.stream.close()
        }
    }

    @Test(
        arguments: [
            "", "* BYE busy\r\n", "* OK", "* PREAUTH hi\r\n", "220 smtp\r\n", "* OK [CAPABILITY X] hi\r\n",
            "* OK [CAPABILITY X] hi\r\n* BYE\r\n",
            "* OK [CAPABILITY X] hi\r\nflim07 O", "* OK [CAPABILITY X] hi\r\nx OK\r\n",
        ])
    func aServerThatMisbehavesIsUnavailable(script: String) async throws {
        try await onLoop { loop in
            let store = try FakeStore(on: loop) { _, stream in
                try await stream.send(script)
                // What has been said arrives before the end.
                await stream.drain()
            }
            let guest = try Guest(on: loop, Self.options { $0.outgoingServer = [Self.server(store.address)] })
            _ = try await guest.stream.text()
            #expect(
                try await guest.ask("a LOGIN joe secret")
                    == "a NO [UNAVAILABLE] failed: Connection Negotiation Failure", "\(script.debugDescription)")
            #expect(guest.book.lines.contains { $0.hasPrefix("info: Real server 127.0.0.1:\(store.address.port) ") })
            #expect(try await guest.ask("b NOOP") == "b OK NOOP")
            guest.stream.close()
        }
    }

    @Test func loginsThatAreDisabledReachNobody() async throws {
        try await onLoop { loop in
            let notes = Notes()
            let store = try FakeStore(on: loop, Self.imap4(notes))
            let guest = try Guest(
                on: loop,
                Self.options {
                    $0.loginDisabled = true
                    $0.outgoingServer = [Self.server(store.address)]
                })
            #expect(try await guest.stream.text().contains("LOGINDISABLED]"))
            #expect(try await guest.ask("a LOGIN joe secret") == "a NO failed: Login Disabled")
            #expect(notes.all == [])
            #expect(
                await guest.logLine(loop, beginning: "notice: Auth:")?.contains("server=\"(null):(null)\"") == true)
            guest.stream.close()
        }
    }

    // MARK: Ends before the login

    @Test func noticesClientsThatGo() async throws {
        try await onLoop { loop in
            let leaver = try Guest(on: loop, Self.options())
            leaver.stream.close()
            #expect(
                await leaver.logLine(loop, beginning: "error:") == """
                    error: Fatal Error reading authentication information from client \(leaver.route): Exiting child
                    """)
            let polite = try Guest(on: loop, Self.options())
            try await polite.stream.send("a LOGOUT\r\n")
            #expect(try await polite.stream.rest().hasSuffix("a OK LOGOUT\r\n"))
            #expect(
                await polite.logLine(loop, beginning: "info: Closing") == """
                    info: Closing NULL session: \(polite.route) authorisation_id=NONE authentication_id="(null)"
                    """)
        }
    }

    @Test func clientsThatSaySilentAreSentAway() async throws {
        try await onLoop { loop in
            let guest = try Guest(on: loop, Self.options { $0.authenticateTimeout = 1 })
            #expect(try await guest.stream.rest().hasPrefix("* OK "))
            #expect(
                await guest.logLine(loop, beginning: "error:") == """
                    error: Fatal Error: Timeout reading authentication information from client \(guest.route): \
                    Exiting child
                    """)
        }
    }

    /// A server that never answers costs the time allowed, and then the client hears of it.
    @Test func aSilentServerIsUnavailable() async throws {
        try await onLoop { loop in
            let store = try FakeStore(on: loop) { loop, _ in await loop.thread.sleep(60_000) }
            let guest = try Guest(
                on: loop,
                Self.options {
                    $0.authenticateTimeout = 1
                    $0.outgoingServer = [Self.server(store.address)]
                })
            _ = try await guest.stream.text()
            #expect(
                try await guest.ask("a LOGIN joe secret")
                    == "a NO [UNAVAILABLE] failed: Connection Negotiation Failure")
            guest.stream.close()
        }
    }

    // MARK: POP3

    @Test func pop3LogsInAndRelays() async throws {
        try await onLoop { loop in
            let notes = Notes()
            let store = try FakeStore(on: loop) { _, stream in
                try await stream.send("+OK ready\r\n")
                for answer in ["-ERR no CAPA", "+OK", "+OK 2 messages", "+OK stat"] {
                    notes.add(try await stream.text())
                    try await stream.send("\(answer)\r\n")
                }
            }
            var options = Self.options { $0.outgoingServer = [Self.server(store.address)] }
            options.protocolName = .pop3
            let guest = try Guest(on: loop, options)
            try await guest.stream.send("USER joe\r\nPASS se cret\r\nSTAT\r\n")
            #expect(try await guest.stream.text().hasPrefix("+OK POP3 perditon ready on 127.0.0.1 "))
            #expect(try await guest.stream.text() == "+OK USER joe set, mate")
            #expect(try await guest.stream.text() == "+OK You are so in")
            #expect(try await guest.stream.text() == "+OK stat")
            #expect(notes.all == ["CAPA", "USER joe", "PASS se cret", "STAT"])
            guest.stream.close()
        }
    }

    // MARK: Memory

    /// Nothing in this process holds the password once the login is done.
    @Test(arguments: [ProtocolName.imap4, .pop3]) func noCopyOfAPasswordIsLeft(name: ProtocolName) async throws {
        // Kept in a form that is not the password itself: the search would find it. So long that its memory is not
        // soon used again for something else.
        let masked: [UInt8] = (0..<900).map { _ in UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "z")) ^ 0x80 }
        let found = try await onLoop { loop in
            let store = try FakeStore(on: loop) { _, stream in
                try await stream.send(
                    name == .imap4 ? "* OK [CAPABILITY X] hi\r\n" : "+OK hi\r\n-ERR no CAPA\r\n+OK\r\n")
                // Reads into the loop's own room and forgets it there.
                var lines = 0
                while lines < (name == .imap4 ? 1 : 3) {
                    let room = stream.channel.thread.scratch
                    switch stream.read(into: room) {
                    case .moved(let count):
                        lines += room.prefix(count).count { $0 == UInt8(ascii: "\n") }
                        linux_wipe(room.baseAddress, count)
                    case .wouldBlock: _ = await stream.channel.waitReadable(within: 30_000)
                    default: return
                    }
                }
                try await stream.send(name == .imap4 ? "flim07 OK\r\n" : "+OK\r\n")
                await stream.drain()
            }
            let options = Self.options {
                $0.protocolName = name
                $0.outgoingServer = [Self.server(store.address)]
            }
            let guest = try Guest(on: loop, options)
            _ = try await guest.stream.text()
            try await Self.sendLogin(masked, name, over: guest.stream)
            while true {
                let line = try await guest.stream.text()
                if line.hasSuffix("You are so in") { break }
                try #require(line.hasPrefix("+OK USER"))
            }
            await loop.turn(8)
            let count = try Memory.count(masked: masked)
            let kept = masked.map { $0 ^ 0x80 }
            let control = try Memory.count(masked: masked)
            #expect(control >= 1, "the search finds what is there")
            withExtendedLifetime(kept) {}
            guest.stream.close()
            return count
        }
        #expect(found == 0)
    }

    private static func sendLogin(_ masked: [UInt8], _ name: ProtocolName, over stream: Stream) async throws {
        var line: [UInt8] = []
        line.reserveCapacity(1000)
        if name == .imap4 {
            line.append("a LOGIN \"joe\" \"")
        } else {
            line.append("USER joe\r\nPASS ")
        }
        for byte in masked { line.append(byte ^ 0x80) }
        if name == .imap4 { line.append("\"") }
        line.append("\r\n")
        try await stream.send(line)
        line.wipe()
    }

    // MARK: Cost

    /// How often the loop goes to sleep for a whole login and logout, with ends that live on other threads.
    @Test func aLoginCostsAFewSleeps() async throws {
        let logins = 200
        let listener = try Listener()
        try startThread(name: "store") { Self.playStore(listener.descriptor, logins: logins) }
        let doors = try Listener()
        try startThread(name: "client") { Self.playClient(doors.address, logins: logins) }
        let switches = try await onLoop { loop in
            let options = Self.options { $0.outgoingServer = [Self.server(listener.address)] }
            let services = try Services(options, log: LogBook().logger)
            let before = Budgets.voluntarySwitches()
            let door = try Channel(dup(doors.descriptor), on: loop.thread)
            for _ in 0..<logins {
                var client: Int32 = -1
                while true {
                    client = linux_accept(doors.descriptor, nil, nil)
                    if client >= 0 { break }
                    door.wouldBlockReading()
                    #expect(await door.waitReadable(within: 30_000) == .ready)
                }
                let session = Session(
                    try Channel(client, on: loop.thread), services, Router(options, maps: [], turn: 0),
                    source: SocketAddress.of(client, peer: true))
                let relay = try #require(await session.run())
                await withUnsafeContinuation { continuation in
                    relay.onEnd = { _ in continuation.resume() }
                    relay.start()
                }
            }
            door.close()
            return Budgets.voluntarySwitches() - before
        }
        #expect(switches > 0)
        #expect(Double(switches) <= Double(logins) * Budgets.switchesPerLogin, "\(switches) for \(logins) logins")
    }

    /// Blocking, on a thread of its own: one connection after the other.
    private static func playStore(_ listener: Int32, logins: Int) {
        _ = linux_fcntl(listener, F_SETFL, 0)
        for _ in 0..<logins {
            let connection = accept(listener, nil, nil)
            say(connection, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
            hear(connection)
            say(connection, "flim07 OK in\r\n")
            hear(connection)
            say(connection, "* BYE\r\n")
            close(connection)
        }
    }

    private static func playClient(_ address: SocketAddress, logins: Int) {
        for _ in 0..<logins {
            let connection = socket(Int32(address.family), Int32(SOCK_STREAM.rawValue), 0)
            guard address.withSocketAddress({ connect(connection, $0, $1) }) == 0 else { return }
            hear(connection)
            say(connection, "a LOGIN joe secret\r\n")
            hear(connection)
            say(connection, "b LOGOUT\r\n")
            hear(connection)
            close(connection)
        }
    }

    private static func say(_ connection: Int32, _ text: String) {
        let bytes = Array(text.utf8)
        _ = linux_send(connection, bytes, bytes.count)
    }

    private static func hear(_ connection: Int32) {
        var room = [UInt8](repeating: 0, count: 4096)
        _ = recv(connection, &room, room.count, 0)
    }
}
