import Loop
import Testing

@testable import Proxy

/// Who may come in, and how long a failure takes.
@Suite struct DoorTests {
    private static func door(_ book: LogBook = LogBook(), _ set: (inout Options) -> Void = { _ in }) -> Door {
        var options = Options()
        set(&options)
        return Door(options, pause: 3000, log: book.logger)
    }

    private static func peer(_ host: String) throws -> SocketAddress {
        try #require(SocketAddress(host: host, port: 1))
    }

    @Test func whoIsTrustedIsNotCounted() throws {
        let door = Self.door()
        #expect(door.origin(of: try Self.peer("127.0.0.1")) == nil)
        #expect(door.origin(of: try Self.peer("::1")) == nil)
        #expect(door.origin(of: try Self.peer("192.0.2.1")) != nil)
        #expect(door.origin(of: SocketAddress.of(-1, peer: true)) == nil)
        #expect(door.enter(nil, try Self.peer("::1"), now: 1))
        #expect(door.fail(nil, now: 1) == 3000)
        for _ in 0..<2000 { #expect(door.receive([1], nil, now: 1) == .welcome(nil)) }
        #expect(door.counted == (0, 0))
    }

    @Test func nobodyIsCountedWhereThereIsNoLimit() throws {
        let door = Self.door {
            $0.loginsPerAddress = 0
            $0.sessionsPerUser = 0
            $0.failureDelayLimit = 0
        }
        #expect(door.origin(of: try Self.peer("192.0.2.1")) == nil)
    }

    @Test func oneAddressDoesNotFillTheHouse() throws {
        let book = LogBook()
        let door = Self.door(book) { $0.loginsPerAddress = 2 }
        let (peer, other) = (try Self.peer("192.0.2.1"), try Self.peer("192.0.2.2"))
        let origin = door.origin(of: peer)
        #expect((0..<5).map { _ in door.enter(origin, peer, now: 1) } == [true, true, false, false, false])
        #expect(door.enter(door.origin(of: other), other, now: 1))
        door.logIn(origin)
        #expect(door.enter(origin, peer, now: 1))
        #expect(
            book.lines == [
                "error: Client 192.0.2.1 has 2 connections that have not logged in (--logins_per_address): one more was "
                    + "turned away"
            ])
        for waiting in [true, true, false] { door.leave(origin, waiting: waiting, now: 1) }
        door.leave(door.origin(of: other), waiting: true, now: 1)
        #expect(door.counted == (0, 0))
    }

    @Test func thePauseGrowsWithTheFailuresOfAnAddress() throws {
        let pauses = (0...30).map { Door.pause(3000, after: $0, atMost: 30_000) }
        #expect(pauses.prefix(5).allSatisfy { $0 == 3000 })
        #expect(
            [5, 9, 10, 14, 15, 19, 20, 30].map { pauses[$0] } == [6000, 6000, 12000, 12000, 24000, 24000, 30000, 30000])
        #expect(Door.pause(3000, after: .max, atMost: .max) == 3000 << 16)
        #expect(Door.pause(0, after: 100, atMost: 30_000) == 0)
        let door = Self.door()
        let peer = try Self.peer("2001:db8::1")
        let neighbour = try Self.peer("2001:db8::2")
        _ = door.enter(door.origin(of: peer), peer, now: 1)
        #expect((0..<6).map { _ in door.fail(door.origin(of: peer), now: 1) }.last == 6000)
        #expect(door.fail(door.origin(of: neighbour), now: 1) == 6000, "the same /64")
        let flat = Self.door { $0.failureDelayLimit = 0 }
        _ = flat.enter(flat.origin(of: peer), peer, now: 1)
        #expect((0..<50).allSatisfy { _ in flat.fail(flat.origin(of: peer), now: 1) == 3000 })
    }

    @Test func oneUserDoesNotFillTheHouse() throws {
        let book = LogBook()
        let door = Self.door(book) { $0.sessionsPerUser = 2 }
        let origin = door.origin(of: try Self.peer("192.0.2.1"))
        guard case .welcome(let first?) = door.receive(Array("joe".utf8), origin, now: 1),
            case .welcome(let second?) = door.receive(Array("JOE".utf8), origin, now: 1)
        else { return #expect(Bool(false), "two are welcome") }
        #expect(door.receive(Array("Joe".utf8), origin, now: 1) == .tooMany)
        #expect(door.receive(Array("ann".utf8), origin, now: 1) != .tooMany)
        #expect(book.lines == ["error: User \"Joe\" has 2 sessions (--sessions_per_user): one more was refused"])
        door.leave(first)
        #expect(door.receive(Array("joe".utf8), origin, now: 1) != .tooMany)
        #expect(door.receive(Array("joe".utf8), origin, now: 1) == .tooMany)
        door.leave(second)
        door.leave(first)
        door.leave(first)
        #expect(door.counted.users == 1, "ann")
    }

    @Test func descriptorsAreEnoughForSoManySessions() {
        #expect(Capacity(descriptors: 20_000, loops: 2, maps: 1, resolvers: 4).sessions == (20_000 - 32 - 64 - 8) / 2)
        #expect(Capacity(descriptors: 10, loops: 2, maps: 1, resolvers: 4).sessions == 1)
        #expect(Capacity.unlimited.sessions > 1_000_000_000)
    }
}
