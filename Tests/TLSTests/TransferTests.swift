import CLinux
import Glibc
import Testing

@testable import TLS

@Suite struct TransferTests {
    let authority: Authority
    let client: TLSContext
    let server: TLSContext

    init() throws {
        authority = try Authority()
        let identity = try authority.issue("mail.test")
        client = try .client(ClientTLSOptions(trusting: identity.certificate))
        server = try .server(ServerTLSOptions(identity))
    }

    /// Bytes in no regular order, the same each time.
    private static func noise(_ count: Int) -> [UInt8] {
        var state: UInt32 = 1
        return (0..<count).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: state >> 24)
        }
    }

    /// One direction: writes what is left in pieces that move in memory, reads with a buffer of changing size.
    private struct Flow {
        let from: TLSConnection
        let to: TLSConnection
        let data: [UInt8]
        var sent = 0
        var received: [UInt8] = []
        var waits = 0
        var fault: TLSResult?

        var isOver: Bool { received.count >= data.count || fault != nil }

        mutating func step() {
            if sent < data.count {
                let piece = Array(data[sent..<min(sent + 50_000, data.count)])
                switch piece.withUnsafeBytes({ from.write($0) }) {
                case .done(let count): sent += count
                case .wantWrite: waits += 1
                case let other: fault = other
                }
            }
            var buffer = [UInt8](repeating: 0, count: 1 + received.count % 20_011)
            switch buffer.withUnsafeMutableBytes({ to.read(into: $0) }) {
            case .done(let count): received += buffer.prefix(count)
            case .wantRead: waits += 1
            case let other: fault = other
            }
        }
    }

    /// With room for several, records leave together, whatever the system takes of them at once.
    @Test(arguments: [nil, 4608, 70_000] as [Int32?], [false, true])
    func manyRecordsAtOnce(bufferSize: Int32?, staysOnThread: Bool) throws {
        let pair = try ConnectionPair(
            client, server, name: "mail.test", bufferSize: bufferSize, staysOnThread: staysOnThread)
        #expect(pair.shakeHands())
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 144 * 1024, alignment: 16)
        defer { room.deallocate() }
        let data = Self.noise(1_000_003)
        var (sent, largest, waits) = (0, 0, 0)
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 50_000)
        for _ in 0..<100_000 where received.count < data.count {
            if sent < data.count {
                // The same bytes and more, elsewhere in memory.
                let piece = Array(data[sent..<min(sent + 128 * 1024, data.count)])
                switch piece.withUnsafeBytes({ pair.server.write($0, room: room) }) {
                case .done(let count):
                    sent += count
                    largest = max(largest, count)
                case .wantWrite: waits += 1
                case let other: Issue.record("\(other)")
                }
            }
            guard case .done(let count) = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) else {
                continue
            }
            received += buffer.prefix(count)
        }
        #expect(received == data)
        if bufferSize == nil { #expect(largest > 16_384) }
        if bufferSize == 4608 { #expect(waits > 0) }
        // The goodbye comes behind all of it.
        while pair.server.shutdown() == .wantWrite { _ = buffer.withUnsafeMutableBytes { pair.client.read(into: $0) } }
        #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) } == .closed)
    }

    /// A record of which half was taken goes on ahead of those that leave together, and nothing is told to have been sent
    /// that still waits.
    @Test(arguments: stride(from: 1000, to: 9000, by: 400).map { $0 }) func aRecordBegunAlone(size: Int) throws {
        let pair = try ConnectionPair(client, server, name: "mail.test", bufferSize: 4608)
        #expect(pair.shakeHands())
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 144 * 1024, alignment: 16)
        defer { room.deallocate() }
        var data = Self.noise(200_000)
        var sent = 0
        while case .done(let count) = data[sent..<(sent + size)].withUnsafeBytes({ pair.server.write($0) }) {
            sent += count
        }
        data = Array(data.prefix(sent + 60_000))
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 20_000)
        for _ in 0..<2_000 where received.count < data.count {
            // One read a turn, so that the system is full most of the time.
            if case .done(let count) = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) {
                received += buffer.prefix(count)
            }
            guard sent < data.count else { continue }
            if case .done(let count) = data[sent...].withUnsafeBytes({ pair.server.write($0, room: room) }) {
                sent += count
            }
        }
        #expect(received == data)
    }

    /// What was taken of a batch is told by whole records, whatever the first of them was the rest of.
    @Test func wholeRecordsAreCounted() {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1000, alignment: 1)
        defer { room.deallocate() }
        var batch = TLSTransport.Batch(room: room)
        for (written, used) in [(90, 10), (190, 120), (290, 230), (300, 250)] {
            batch.used = used
            batch.mark(written)
        }
        let told = [0, 9, 10, 119, 120, 229, 230, 249, 250].map { batch.written(in: $0) }
        #expect(told == [0, 0, 90, 90, 190, 190, 290, 290, 300])
        for number in 0..<TLSTransport.Batch.longest { batch.mark(300 + number) }
        #expect(!batch.hasRoom(for: 1))
    }

    /// No goodbye is put between the halves of a record.
    @Test func noGoodbyeInTheMiddle() throws {
        let pair = try ConnectionPair(client, server, name: "mail.test", bufferSize: 4608)
        #expect(pair.shakeHands())
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 144 * 1024, alignment: 16)
        defer { room.deallocate() }
        let data = Self.noise(100_000)
        while case .done = data.withUnsafeBytes({ pair.server.write($0, room: room) }) {}
        #expect(pair.server.shutdown() == .wantWrite)
        var buffer = [UInt8](repeating: 0, count: 20_000)
        var results: Set<String> = []
        for _ in 0..<100 {
            switch buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) {
            case .done: break
            case let other: results.insert("\(other)")
            }
        }
        #expect(results == ["wantRead"])
    }

    /// A read that the loop knows to be in vain is not made; behind an end that it knows of, all are.
    @Test func readsAreSpared() throws {
        let pair = try ConnectionPair(client, server, name: "mail.test", staysOnThread: true)
        #expect(pair.shakeHands())
        pair.client.expect(readable: false, isEnding: false)
        #expect(pair.send("hello", from: pair.server) == .done(5))
        #expect(pair.receive(pair.client) == nil)
        pair.client.expect(readable: true, isEnding: false)
        #expect(pair.receive(pair.client) == "hello")
        #expect(pair.client.isDrained)
        #expect(pair.send("again", from: pair.server) == .done(5))
        pair.client.expect(readable: false, isEnding: true)
        #expect(pair.receive(pair.client) == "again")
        #expect(!pair.client.isDrained)
    }

    @Test func bothWaysThroughSmallBuffers() throws {
        let pair = try ConnectionPair(client, server, name: "mail.test", bufferSize: 4608)
        #expect(pair.shakeHands())
        var up = Flow(from: pair.client, to: pair.server, data: Self.noise(3_000_000))
        var down = Flow(from: pair.server, to: pair.client, data: Self.noise(2_000_000))
        while !up.isOver || !down.isOver {
            if !up.isOver { up.step() }
            if !down.isOver { down.step() }
        }
        #expect(up.fault == nil)
        #expect(down.fault == nil)
        #expect(up.received == up.data)
        #expect(down.received == down.data)
        #expect(up.waits > 100 && down.waits > 100, "the buffers were small enough to be in the way")
    }

    @Test func threadsShareContexts() async throws {
        let (client, server) = (client, server)
        let good = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let sessions = TLSSessions(client)
                    var good = 0
                    for _ in 0..<25 {
                        let pair = try ConnectionPair(client, server, name: "mail.test", sessions: sessions)
                        if pair.shakeHands(), pair.greet() == "hello" { good += 1 }
                    }
                    return good
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(good == 100)
    }

    @Test func pendingBytesAreCounted() throws {
        let pair = try ConnectionPair(client, server)
        #expect(pair.shakeHands())
        #expect(pair.send("hello", from: pair.server) == .done(5))
        #expect(pair.client.pendingBytes == 0)
        var two: [UInt8] = [0, 0]
        #expect(two.withUnsafeMutableBytes { pair.client.read(into: $0) } == .done(2))
        #expect(pair.client.pendingBytes == 3)
        #expect(pair.receive(pair.client) == "llo")
        #expect(pair.client.pendingBytes == 0)
        #expect(pair.client.read(into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) == .done(0))
        #expect(pair.client.write(UnsafeRawBufferPointer(start: nil, count: 0)) == .done(0))
    }

    @Test func oneDirectionEndsBeforeTheOther() throws {
        let pair = try ConnectionPair(client, server)
        #expect(pair.shakeHands())
        #expect(pair.send("last words", from: pair.client) == .done(10))
        #expect(pair.client.shutdown() == .done(0))
        #expect(pair.client.shutdown() == .done(0), "a second goodbye is not sent")
        #expect(pair.receive(pair.server) == "last words")
        var buffer = [UInt8](repeating: 0, count: 10)
        #expect(buffer.withUnsafeMutableBytes { pair.server.read(into: $0) } == .closed)
        #expect(pair.send("and mine", from: pair.server) == .done(8))
        #expect(pair.receive(pair.client) == "and mine")
        #expect(pair.server.shutdown() == .done(0))
        #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) } == .closed)
    }

    @Test func hangUpWithoutGoodbye() throws {
        let pair = try ConnectionPair(client, server)
        #expect(pair.shakeHands())
        #expect(pair.send("last words", from: pair.client) == .done(10))
        #expect(Glibc.shutdown(pair.clientDescriptor, Int32(SHUT_WR)) == 0)
        #expect(pair.receive(pair.server) == "last words")
        var buffer = [UInt8](repeating: 0, count: 10)
        #expect(buffer.withUnsafeMutableBytes { pair.server.read(into: $0) } == .closed)
        #expect(pair.send("and mine", from: pair.server) == .done(8))
        #expect(pair.receive(pair.client) == "and mine")
    }

    @Test func writingToNobody() throws {
        let pair = try ConnectionPair(client, server)
        #expect(pair.shakeHands())
        #expect(Glibc.shutdown(pair.serverDescriptor, Int32(SHUT_RD)) == 0)
        #expect(pair.send("x", from: pair.client) == .failed(TLSError(.lost, "Broken pipe")))
        #expect(pair.send("x", from: pair.client) == .closed)
    }

    @Test func bytesChangedOnTheWay() throws {
        let pair = try ConnectionPair(client, server)
        #expect(pair.shakeHands())
        #expect(pair.greet() == "hello")
        let forged: [UInt8] = [0x17, 3, 3, 0, 32] + Self.noise(32)
        #expect(write(pair.clientDescriptor, forged, forged.count) == forged.count)
        var buffer = [UInt8](repeating: 0, count: 10)
        let result = buffer.withUnsafeMutableBytes { pair.server.read(into: $0) }
        #expect(ConnectionPair.fault(result)?.kind == .handshake)
    }
}
