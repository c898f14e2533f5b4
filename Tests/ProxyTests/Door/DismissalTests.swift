import Loop
import Testing

@testable import Proxy

/// Clients that are sent away before they have logged in, in the words of their protocol.
@Suite(.timeLimit(.minutes(2))) struct DismissalTests {
    private static func options(_ protocolName: ProtocolName, _ set: (inout Options) -> Void = { _ in }) -> Options {
        var options = Options()
        options.protocolName = protocolName
        options.noLookup = true
        options.failuresPerConnection = 2
        set(&options)
        return options
    }

    private static let noServer = "failed: Could not determine server"

    @Test(arguments: [
        (
            ProtocolName.imap4, "a LOGIN joe x\r\nb LOGIN joe y\r\nc LOGIN joe z\r\n",
            "a NO \(noServer)\r\nb NO \(noServer)\r\n* BYE Too many failed logins, mate\r\n"
        ),
        (
            .managesieve,
            "AUTHENTICATE \"PLAIN\" \"AGpvZQB4\"\r\nAUTHENTICATE \"PLAIN\" \"AGpvZQB4\"\r\nNOOP\r\n",
            "NO \"\(noServer)\"\r\nNO \"\(noServer)\"\r\nBYE \"Too many failed logins, mate\"\r\n"
        ),
        (
            .pop3, "USER joe\r\nPASS x\r\nUSER joe\r\nPASS y\r\n",
            "-ERR [SYS/PERM] \(noServer)\r\n+OK USER joe set, mate\r\n-ERR [SYS/PERM] \(noServer)\r\n"
        ),
        (
            .pop3, "USER joe\r\nPASS x\r\nUSER joe\r\nPASS y\r\nCAPA\r\n",
            "-ERR [SYS/PERM] \(noServer)\r\n-ERR [SYS/TEMP] Too many failed logins, mate\r\n"
        ),
    ])
    func failedLoginsEnd(_ protocolName: ProtocolName, _ input: String, _ end: String) async throws {
        try await onLoop { loop in
            let guest = try Guest(on: loop, Self.options(protocolName))
            try await guest.stream.send(input)
            let heard = try await guest.stream.rest()
            #expect(heard.hasSuffix(end), "\(heard)")
            #expect(
                await guest.logLine(loop, beginning: "error:")
                    == "error: Client \(guest.route) was sent away: Too many failed logins, mate")
            #expect(guest.book.lines.count { $0.contains("Auth:") } == 2)
        }
    }

    @Test func faultsOfOursDoNotCount() async throws {
        try await onLoop { loop in
            let guest = try Guest(on: loop, Self.options(.imap4), map: "/tmp/perdition-no-such-map")
            _ = try await guest.stream.text()
            for tag in 0..<2 {
                #expect(
                    try await guest.ask("a\(tag) LOGIN joe x")
                        == "a\(tag) NO [UNAVAILABLE] failed: Temporary lookup failure")
            }
            #expect(try await guest.ask("b NOOP") == "b OK NOOP")
            guest.stream.close()
        }
    }

    @Test func noLimitMeansNone() async throws {
        try await onLoop { loop in
            let guest = try Guest(on: loop, Self.options(.imap4) { $0.failuresPerConnection = 0 })
            _ = try await guest.stream.text()
            for _ in 0..<30 { #expect(try await guest.ask("a LOGIN joe x") == "a NO \(Self.noServer)") }
            guest.stream.close()
        }
    }

    @Test(arguments: [
        (ProtocolName.imap4, "a NOOP\r\n", "a OK NOOP\r\n", "* BYE Too many commands, mate\r\n"),
        (.pop3, "USER joe\r\n", "+OK USER joe set, mate\r\n", "-ERR [SYS/TEMP] Too many commands, mate\r\n"),
        (.managesieve, "NOOP\r\n", "OK \"NOOP completed, mate\"\r\n", "BYE \"Too many commands, mate\"\r\n"),
    ])
    func commandsWithoutALoginEnd(
        _ protocolName: ProtocolName, _ command: String, _ answer: String, _ end: String
    ) async throws {
        try await onLoop { loop in
            let guest = try Guest(on: loop, Self.options(protocolName))
            try await guest.stream.send(String(repeating: command, count: 2000))
            let heard = try await guest.stream.rest()
            #expect(heard.hasSuffix(answer + end), "\(heard.suffix(200))")
            let count = heard.split(separator: "\r\n").count { $0 + "\r\n" == answer }
            #expect((Front.lineLimit - 16...Front.lineLimit + 16).contains(count))
        }
    }

    /// A client that never lets go of the loop would keep it for itself.
    @Test func aFloodOfCommandsLeavesTurnsToOthers() async throws {
        try await onLoop { loop in
            let flood = try Guest(on: loop, Self.options(.imap4))
            let honest = try Guest(on: loop, Self.options(.imap4))
            _ = try await honest.stream.text()
            try await flood.stream.send(String(repeating: "a NOOP\r\n", count: 900))
            #expect(try await honest.ask("b NOOP") == "b OK NOOP")
            var waiting = 0
            while case .moved(let count) = flood.stream.read(into: loop.thread.scratch) { waiting += count }
            #expect(waiting < 900 * 11, "the honest one was served before the flood was through")
            flood.stream.close()
            honest.stream.close()
        }
    }

    @Test func aUserWithTooManySessionsHearsSo() async throws {
        try await onLoop { loop in
            let store = try FakeStore(on: loop) { _, stream in
                try await stream.send("* OK [CAPABILITY IMAP4rev1] ready\r\n")
                let tag = try await stream.text().prefix { $0 != " " }
                try await stream.send("\(tag) OK in\r\n")
                _ = try await stream.text()
            }
            let options = Self.options(.imap4) {
                $0.sessionsPerUser = 1
                $0.trustedNetworks = []
                $0.outgoingServer = [ServerAddress(host: "127.0.0.1", port: String(store.address.port))]
            }
            let first = try Guest(on: loop, options)
            _ = try await first.stream.text()
            #expect(try await first.ask("a LOGIN joe x") == "a OK You are so in")
            let second = try Guest(on: loop, options, sharing: first)
            _ = try await second.stream.text()
            #expect(try await second.ask("a LOGIN Joe x") == "a NO [UNAVAILABLE] failed: Too many sessions")
            #expect(try await second.ask("b LOGIN ann x") == "b OK You are so in")
            first.stream.close()
            second.stream.close()
        }
    }
}
