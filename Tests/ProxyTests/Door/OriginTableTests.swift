import Loop
import Testing

@testable import Proxy

/// Counting clients by their addresses, and forgetting them.
@Suite struct OriginTableTests {
    private static func origin(_ number: Int) throws -> Origin {
        let host = "10.\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"
        let address = try #require(SocketAddress(host: host, port: 1))
        return try #require(Origin(address))
    }

    @Test func connectionsAreCountedUntilTheyEnd() throws {
        var table = OriginTable(idleLimit: 10)
        let (one, other) = (try Self.origin(1), try Self.origin(2))
        for _ in 0..<3 { #expect(table.enter(one, connections: 3, logins: 0) == .welcome) }
        #expect(table.enter(one, connections: 3, logins: 0) == .tooManyConnections)
        #expect(table.enter(other, connections: 3, logins: 0) == .welcome)
        table.logIn(one)
        #expect(table.enter(one, connections: 3, logins: 0) == .tooManyConnections)
        table.leave(one, waiting: false, now: 1)
        #expect(table.enter(one, connections: 3, logins: 0) == .welcome)
        for _ in 0..<3 { table.leave(one, waiting: true, now: 1) }
        table.leave(other, waiting: true, now: 1)
        #expect(table.count == 0, "nobody is remembered who did nothing")
    }

    @Test func thoseThatHaveLoggedInAreOutOfTheWay() throws {
        var table = OriginTable(idleLimit: 10)
        let one = try Self.origin(1)
        for _ in 0..<100 {
            #expect(table.enter(one, connections: 0, logins: 1) == .welcome)
            #expect(table.enter(one, connections: 0, logins: 1) == .tooManyLogins)
            table.logIn(one)
        }
        #expect(table.enter(one, connections: 0, logins: 1) == .welcome)
        #expect(table.enter(one, connections: 0, logins: 1) == .tooManyLogins)
        table.leave(one, waiting: true, now: 1)
        #expect(table.enter(one, connections: 0, logins: 1) == .welcome)
    }

    @Test func failuresOutliveTheConnectionAndAreForgottenOneByOne() throws {
        var table = OriginTable(idleLimit: 10)
        let one = try Self.origin(1)
        let step = OriginTable.forgetInterval
        _ = table.enter(one, connections: 0, logins: 0)
        #expect((1...4).map { table.fail(one, now: UInt64($0)) } == [1, 2, 3, 4])
        table.leave(one, waiting: true, now: 10)
        #expect(table.count == 1)
        _ = table.enter(one, connections: 0, logins: 0)
        #expect(table.fail(one, now: 20) == 5)
        #expect(table.fail(one, now: 20 + 3 * step) == 3, "three are forgotten, one is new")
        for number in 0..<100 { _ = table.fail(one, now: 20 + 3 * step + UInt64(number)) }
        #expect(table.fail(one, now: 20 + 4 * step) == OriginTable.failureLimit)
        #expect(table.fail(one, now: 20 + 1000 * step) == 1)
        table.leave(one, waiting: true, now: 20 + 2000 * step)
        #expect(table.count == 0)
    }

    @Test func theTableIsBoundedAndTheFirstThatLeftIsForgotten() throws {
        var table = OriginTable(idleLimit: 100)
        for number in 0..<10_000 {
            let origin = try Self.origin(number)
            _ = table.enter(origin, connections: 0, logins: 0)
            _ = table.fail(origin, now: 5)
            table.leave(origin, waiting: true, now: 5)
            #expect(table.count <= 100)
        }
        #expect(table.idleCount == 100)
        for number in [9_900, 9_950, 9_999] {
            let origin = try Self.origin(number)
            _ = table.enter(origin, connections: 0, logins: 0)
            #expect(table.fail(origin, now: 5) == 2, "remembered")
        }
        let early = try Self.origin(1)
        _ = table.enter(early, connections: 0, logins: 0)
        #expect(table.fail(early, now: 5) == 1, "forgotten")
        #expect(table.idleCount == 97)
        #expect(table.count == 101, "with connections there are as many as there are")
    }

    @Test func whoeverIsOverDueMakesRoom() throws {
        var table = OriginTable(idleLimit: 1000)
        let late = OriginTable.forgetInterval * 100
        for number in 0..<500 {
            let origin = try Self.origin(number)
            _ = table.enter(origin, connections: 0, logins: 0)
            _ = table.fail(origin, now: 5)
            table.leave(origin, waiting: true, now: 5)
        }
        for number in 500..<750 {
            let origin = try Self.origin(number)
            _ = table.enter(origin, connections: 0, logins: 0)
            _ = table.fail(origin, now: late)
            table.leave(origin, waiting: true, now: late)
        }
        #expect(table.idleCount == 250, "two go for each that comes")
    }

    /// Against a model that is slow and plain.
    @Test func randomLivesLeaveNothingBehind() throws {
        var generator = SystemRandomNumberGenerator()
        var table = OriginTable(idleLimit: 7)
        var open: [(origin: Int, waiting: Bool)] = []
        let origins = try (0..<20).map { try Self.origin($0) }
        for now in UInt64(1)...20_000 {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0, 1:
                let number = Int.random(in: 0..<20, using: &generator)
                let count = open.count { $0.origin == number }
                let waiting = open.count { $0.origin == number && $0.waiting }
                let verdict = table.enter(origins[number], connections: 6, logins: 3)
                #expect(verdict == (count >= 6 ? .tooManyConnections : waiting >= 3 ? .tooManyLogins : .welcome))
                if verdict == .welcome { open.append((number, true)) }
            case 2:
                guard let index = open.indices.randomElement(using: &generator), open[index].waiting else { continue }
                open[index].waiting = false
                table.logIn(origins[open[index].origin])
            case 3:
                guard let one = open.randomElement(using: &generator) else { continue }
                #expect((1...OriginTable.failureLimit).contains(table.fail(origins[one.origin], now: now * 1000)))
            default:
                guard let index = open.indices.randomElement(using: &generator) else { continue }
                let one = open.remove(at: index)
                table.leave(origins[one.origin], waiting: one.waiting, now: now * 1000)
            }
            let busy = Set(open.map(\.origin)).count
            #expect(table.count == busy + table.idleCount && table.idleCount <= 7)
        }
    }
}
