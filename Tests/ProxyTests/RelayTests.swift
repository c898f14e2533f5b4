import CLinux
import Glibc
import Loop
import Synchronization
import Testing

@testable import Proxy

/// Bytes both ways after a login.
@Suite(.timeLimit(.minutes(4))) struct RelayTests {
    private final class Count {
        var value = 0
    }

    /// A relay between two connections, and their far ends.
    private final class Bench {
        let client: Stream
        let server: Stream
        let book = LogBook()
        let relay: Relay
        private let count = Count()
        var ends: Int { count.value }

        init(
            on loop: isolated Loop, timeout: UInt64? = nil, buffer: Int32? = nil,
            prepare: (Stream, Stream) async throws -> Void = { _, _ in }, sending: (String, String) = ("", "")
        ) async throws {
            let (near, client) = try tcpPair()
            let (far, server) = try tcpPair()
            if var size = buffer {
                for descriptor in [near, client, far, server] {
                    for option in [SO_SNDBUF, SO_RCVBUF] {
                        setsockopt(descriptor, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
                    }
                }
            }
            self.client = try Stream(client, on: loop)
            self.server = try Stream(server, on: loop)
            let inner = (try Stream(near, on: loop), try Stream(far, on: loop))
            try await self.client.send(sending.0)
            try await self.server.send(sending.1)
            try await prepare(inner.0, inner.1)
            let services = try Services(Options(), log: book.logger)
            services.sessions.add(1, ordering: .relaxed)
            relay = Relay(
                client: inner.0, server: inner.1, timeout: timeout,
                account: Relay.Account(
                    services: services,
                    record: LoginRecord(
                        route: "a->b", authentication: "who", authorization: nil, host: "server", port: nil,
                        clientSecurity: .plaintext, serverSecurity: .ssl, protocolName: .imap4)))
            let count = count
            relay.onEnd = { _ in count.value += 1 }
            relay.start()
        }

        /// The last line of the log, once there is one.
        func lastLine(_ loop: isolated Loop) async -> String? {
            for _ in 0..<1000 where !book.lines.contains(where: { $0.contains("Closing session") }) {
                await loop.thread.sleep(10)
            }
            return book.lines.last
        }
    }

    @Test func movesBytesBothWays() async throws {
        try await onLoop { loop in
            let bench = try await Bench(on: loop)
            try await bench.client.send("question\n")
            #expect(try await bench.server.text() == "question")
            try await bench.server.send("answer\n")
            #expect(try await bench.client.text() == "answer")
            bench.client.close()
            #expect(try await bench.server.rest() == "")
            bench.server.close()
            #expect(
                await bench.lastLine(loop)
                    == "info: Closing session: a->b authorisation_id=NONE authentication_id=\"who\" received=9 sent=7")
            #expect(bench.ends == 1)
            bench.relay.stop()
            #expect(bench.book.lines.count == 1)
        }
    }

    @Test func handsOverWhatBothSidesHadSaidBefore() async throws {
        try await onLoop { loop in
            let bench = try await Bench(
                on: loop,
                prepare: { client, server in
                    let lines = (try await client.text(), try await server.text())
                    #expect(lines == ("login", "welcome"))
                    #expect(client.waiting > 0)
                }, sending: ("login\r\none\r\ntw", "welcome\r\n* 1 EXISTS\r\n"))
            #expect(try await bench.server.text() == "one")
            #expect(try await bench.client.text() == "* 1 EXISTS")
            try await bench.client.send("o\r\n")
            #expect(try await bench.server.text() == "two")
            bench.client.close()
            bench.server.close()
            #expect(
                await bench.lastLine(loop)
                    == "info: Closing session: a->b authorisation_id=NONE authentication_id=\"who\" received=10 sent=12"
            )
        }
    }

    // MARK: Ends

    /// Who has said his last word still hears the answer.
    @Test(arguments: [true, false]) func halfClosePassesThrough(clientFirst: Bool) async throws {
        try await onLoop { loop in
            let bench = try await Bench(on: loop)
            let (first, second) = clientFirst ? (bench.client, bench.server) : (bench.server, bench.client)
            try await first.send("last\n")
            first.endOutput()
            #expect(try await second.rest() == "last\n")
            await loop.turn(20)
            #expect(bench.ends == 0)
            for number in 0..<3 {
                try await second.send("\(number)\n")
                #expect(try await first.text() == "\(number)")
            }
            second.endOutput()
            #expect(try await first.rest() == "")
            #expect(await bench.lastLine(loop)?.hasPrefix("info: Closing session:") == true)
            #expect(bench.ends == 1)
            first.close()
            second.close()
        }
    }

    /// A client that has just been told goodbye is not waited for.
    @Test(arguments: ["a1 LOGOUT", "quit", "LogOut"]) func anAnsweredGoodbyeEndsBothSides(goodbye: String) async throws
    {
        try await onLoop { loop in
            let bench = try await Bench(on: loop)
            try await bench.client.send("\(goodbye)\r\n")
            #expect(try await bench.server.text() == goodbye)
            try await bench.server.send("BYE\n")
            bench.server.endOutput()
            #expect(try await bench.client.rest() == "BYE\n")
            #expect(await bench.lastLine(loop)?.hasPrefix("info: Closing session:") == true)
            #expect(bench.ends == 1)
            #expect(try await bench.server.rest() == "")
        }
    }

    @Test func aResetEndsBothSides() async throws {
        try await onLoop { loop in
            let bench = try await Bench(on: loop)
            var hard = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                bench.server.channel.descriptor, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
            bench.server.close()
            #expect(try await bench.client.rest() == "")
            _ = await bench.lastLine(loop)
            #expect(
                bench.book.lines == [
                    "error: Fatal error piping data. Exiting child.",
                    "info: Closing session: a->b authorisation_id=NONE authentication_id=\"who\" received=0 sent=0",
                ])
            bench.client.close()
        }
    }

    @Test func aStoppedRelayClosesBothSides() async throws {
        try await onLoop { loop in
            let bench = try await Bench(on: loop, timeout: 3_600_000)
            bench.relay.stop()
            bench.relay.stop()
            #expect(try await bench.client.rest() == "")
            #expect(try await bench.server.rest() == "")
            #expect(bench.ends == 1)
            #expect(bench.book.lines.count == 1)
        }
    }

    // MARK: Time

    @Test func idleSessionsEnd() async throws {
        try await onLoop { loop in
            let bench = try await Bench(on: loop, timeout: 50)
            #expect(try await bench.client.rest() == "")
            _ = await bench.lastLine(loop)
            #expect(
                bench.book.lines == [
                    "info: Timeout piping data.",
                    "info: Closing session: a->b authorisation_id=NONE authentication_id=\"who\" received=0 sent=0",
                ])
            bench.client.close()
            bench.server.close()
        }
    }

    /// One byte now and then, in one direction, is life enough.
    @Test func activityKeepsASessionAlive() async throws {
        try await onLoop { loop in
            let bench = try await Bench(on: loop, timeout: 1500)
            for _ in 0..<35 {
                try await bench.server.send("\n")
                #expect(try await bench.client.text() == "")
                await loop.thread.sleep(60)
            }
            #expect(bench.ends == 0)
            bench.relay.stop()
            bench.client.close()
            bench.server.close()
        }
    }

    // MARK: Much

    /// A reader that does not read stops the writer; what waits here stays small, and arrives in the end.
    @Test(arguments: [true, false]) func aSlowReaderCostsLittleMemory(upward: Bool) async throws {
        try await onLoop { loop in
            let bench = try await Bench(on: loop, buffer: 16 * 1024)
            let (writer, reader) = upward ? (bench.client, bench.server) : (bench.server, bench.client)
            let piece = [UInt8](repeating: 7, count: 64 * 1024)
            var sent = 0
            var idle = 0
            while idle < 50 {
                switch piece.withUnsafeBytes({ writer.write($0) }) {
                case .moved(let count):
                    sent += count
                    idle = 0
                default:
                    idle += 1
                    await loop.turn(2)
                }
            }
            #expect(sent > 0)
            #expect(sent <= 1 << 20, "\(sent) bytes were taken from a writer whose reader does not read")
            #expect(bench.relay.waiting <= LoopThread.scratchSize)
            // The other direction is not held up.
            try await reader.send("hello\n")
            #expect(try await writer.text() == "hello")
            writer.endOutput()
            var got = 0
            var room = piece
            while true {
                let result = room.withUnsafeMutableBytes { reader.read(into: $0) }
                if case .moved(let count) = result {
                    got += count
                } else if result == .wouldBlock {
                    try #require(await reader.channel.waitReadable(within: 30_000) == .ready)
                } else {
                    #expect(result == .closed)
                    break
                }
            }
            #expect(got == sent)
            #expect(bench.relay.waiting == 0)
            bench.client.close()
            bench.server.close()
        }
    }

    /// 64 MiB each way at once, in pieces of random size.
    @Test func muchArrivesUnchanged() async throws {
        let total = 64 << 20
        try await onLoop { loop in
            let bench = try await Bench(on: loop)
            var failures: [String] = []
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                var left = 4
                let end = { (what: String?) in
                    if let what { failures.append(what) }
                    left -= 1
                    if left == 0 { continuation.resume() }
                }
                for (number, stream) in [bench.client, bench.server].enumerated() {
                    stream.channel.handler = Busy(
                        Pump(stream, number: number, total: total, end: end),
                        Drain(stream, number: 1 - number, total: total, end: end))
                    loop.thread.again(stream.channel)
                }
            }
            #expect(failures == [])
            #expect(
                await bench.lastLine(loop)
                    == "info: Closing session: a->b authorisation_id=NONE authentication_id=\"who\" received=\(total) sent=\(total)"
            )
            bench.client.close()
            bench.server.close()
        }
    }
}

/// A block of random bytes, repeated: what a stream carries, known at every position.
private enum Pattern {
    static let size = 1 << 20

    /// Twice the block, so that a piece that begins anywhere in it is in one piece.
    static func block(_ number: Int) -> [UInt8] {
        var state = UInt64(number) &* 0x9e37_79b9_7f4a_7c15 | 1
        var block: [UInt8] = []
        block.reserveCapacity(2 * size)
        for _ in 0..<size / 8 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            withUnsafeBytes(of: state) { block.append(contentsOf: $0) }
        }
        return block + block
    }
}

/// Writes the pattern in pieces of random size.
private final class Pump {
    private let stream: Stream
    private let block: [UInt8]
    private let total: Int
    private let end: (String?) -> Void
    private var sent = 0

    init(_ stream: Stream, number: Int, total: Int, end: @escaping (String?) -> Void) {
        self.stream = stream
        block = Pattern.block(number)
        self.total = total
        self.end = end
    }

    /// Whether there is more to do at once.
    func step() -> Bool {
        guard sent < total else { return false }
        for _ in 0..<16 {
            let offset = sent % Pattern.size
            let size = min(Int.random(in: 1...100_000), total - sent)
            switch block[offset..<offset + size].withUnsafeBytes({ stream.write($0) }) {
            case .moved(let count):
                sent += count
                if sent == total {
                    stream.endOutput()
                    end(nil)
                    return false
                }
            case .wouldBlock: return false
            case .closed, .failed:
                end("broken after \(sent) bytes")
                sent = total
                return false
            }
        }
        return true
    }
}

/// Reads pieces of random size and compares them.
private final class Drain {
    private let stream: Stream
    private let block: [UInt8]
    private let total: Int
    private var end: ((String?) -> Void)?
    private var got = 0
    private var room = [UInt8](repeating: 0, count: 100_000)

    init(_ stream: Stream, number: Int, total: Int, end: @escaping (String?) -> Void) {
        self.stream = stream
        block = Pattern.block(number)
        self.total = total
        self.end = end
    }

    /// Whether there is more to do at once.
    func step() -> Bool {
        guard let end else { return false }
        var fault: String?
        for _ in 0..<16 {
            let size = Int.random(in: 1...room.count)
            let result = room.withUnsafeMutableBytes {
                stream.read(into: UnsafeMutableRawBufferPointer(rebasing: $0.prefix(size)))
            }
            switch result {
            case .moved(let count):
                let offset = got % Pattern.size
                let same = room.withUnsafeBytes { left in
                    block.withUnsafeBytes { right in
                        guard let left = left.baseAddress, let right = right.baseAddress else { return false }
                        return memcmp(left, right + offset, count) == 0
                    }
                }
                got += count
                if !same || got > total { fault = "wrong bytes before \(got)" }
            case .wouldBlock: return false
            case .closed: fault = got == total ? "" : "ended after \(got) bytes"
            case .failed(let error): fault = "\(error) after \(got) bytes"
            }
            if let fault {
                self.end = nil
                end(fault.isEmpty ? nil : fault)
                return false
            }
        }
        return true
    }
}

/// One end that writes and reads at once.
private final class Busy: ChannelHandler {
    private let pump: Pump
    private let drain: Drain

    init(_ pump: Pump, _ drain: Drain) {
        self.pump = pump
        self.drain = drain
    }

    func channelReady(_ channel: Channel) {
        let more = (pump.step(), drain.step())
        if more.0 || more.1 { channel.thread.again(channel) }
    }
}
