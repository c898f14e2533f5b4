import Loop
import Testing

@testable import Proxy

/// What is remembered of a map, for how long, and in how much room.
@Suite struct MapMemoryTests {
    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private static func kept(_ value: String?, at time: UInt64) -> AnswerTable.Kept {
        AnswerTable.Kept(value: value.map(bytes), time: time)
    }

    // MARK: The table

    @Test func aTableHoldsNoMoreThanItsCapacity() {
        var table = AnswerTable(capacity: 3)
        for number in 0..<100 { table.keep(Self.kept("v\(number)", at: 1), for: Self.bytes("k\(number)")) }
        #expect(table.count == 3)
        #expect((0..<100).count { table.find(Self.bytes("k\($0)")) != nil } == 3)
    }

    @Test func whoIsAskedForStays() {
        var table = AnswerTable(capacity: 4)
        let joe = Self.bytes("joe")
        table.keep(Self.kept("a", at: 1), for: joe)
        for number in 0..<1000 {
            #expect(table.find(joe) == Self.kept("a", at: 1), "after \(number) others")
            table.keep(Self.kept(nil, at: 2), for: Self.bytes("k\(number)"))
        }
    }

    @Test func entriesAreReplacedAndRemoved() {
        var table = AnswerTable(capacity: 8)
        for number in 0..<8 { table.keep(Self.kept("\(number)", at: 1), for: [UInt8(number)]) }
        table.keep(Self.kept("new", at: 5), for: [3])
        #expect(table.count == 8)
        for number: UInt8 in [0, 7, 2, 9] { table.remove([number]) }
        #expect(table.count == 5)
        #expect(table.find([3]) == Self.kept("new", at: 5))
        for number: UInt8 in [1, 4, 5, 6] { #expect(table.find([number]) == Self.kept("\(number)", at: 1)) }
        table.removeAll()
        #expect(table.count == 0)
        #expect(table.find([3]) == nil)
    }

    // MARK: The policy

    @Test func answersGetOldAndAbsencesTenTimesAsFast() throws {
        let policy = try #require(MapMemory.Policy(fresh: 1_000, stale: 60_000, size: 10))
        let (there, gone) = (Self.kept("host", at: 100), Self.kept(nil, at: 100))
        #expect(policy.isFresh(there, 1_099) && !policy.isFresh(there, 1_100))
        #expect(policy.isFresh(gone, 199) && !policy.isFresh(gone, 200))
        #expect(policy.isUsable(there, 60_099) && !policy.isUsable(there, 60_100))
        #expect(policy.isUsable(gone, 60_099), "on the way to a map that has the user")
        #expect(policy.decides(gone, 6_099) && !policy.decides(gone, 6_100))
        #expect(policy.isFresh(there, 50), "a clock that is behind makes nothing old")
    }

    @Test func nothingIsRememberedWhereNothingServes() {
        #expect(MapMemory.Policy(fresh: 0, stale: 0, size: 10) == nil)
        #expect(MapMemory.Policy(fresh: 1, stale: 1, size: 0) == nil)
        #expect(MapMemory.Policy(Options()) == MapMemory.Policy(fresh: 0, stale: 3_600_000, size: 20_000))
        #expect(!(MapMemory.Policy(Options())?.isFresh(Self.kept("host", at: 5), 5) ?? true))
    }

    // MARK: The memory

    private func memory(size: Int = 80) throws -> MapMemory {
        MapMemory(try #require(MapMemory.Policy(fresh: 0, stale: 1000, size: size)))
    }

    @Test func theLastAnswerCounts() throws {
        let memory = try memory()
        let joe = Self.bytes("joe")
        memory.keep(nil, for: joe, now: 1, epoch: memory.epoch)
        #expect(memory.recall(joe) == Self.kept(nil, at: 1))
        memory.keep(Self.bytes("host"), for: joe, now: 2, epoch: memory.epoch)
        #expect(memory.recall(joe) == Self.kept("host", at: 2))
        memory.keep(nil, for: joe, now: 3, epoch: memory.epoch)
        #expect(memory.recall(joe) == Self.kept(nil, at: 3))
        #expect(memory.count == 1)
    }

    @Test func namesThatAreTriedDoNotPushOutUsers() throws {
        let memory = try memory(size: 800)
        let users = (0..<200).map { Self.bytes("user\($0)") }
        for user in users { memory.keep(Self.bytes("host"), for: user, now: 1, epoch: memory.epoch) }
        for number in 0..<100_000 {
            memory.keep(nil, for: Self.bytes("guess\(number)"), now: 2, epoch: memory.epoch)
        }
        #expect(users.allSatisfy { memory.recall($0) == Self.kept("host", at: 1) })
        #expect(memory.count <= 200 + 200)
    }

    @Test func whatIsLongIsNotKept() throws {
        let memory = try memory()
        let long = [UInt8](repeating: 120, count: MapMemory.entryLimit)
        memory.keep(Self.bytes("short"), for: Self.bytes("joe"), now: 1, epoch: memory.epoch)
        memory.keep(long, for: Self.bytes("joe"), now: 2, epoch: memory.epoch)
        #expect(memory.recall(Self.bytes("joe")) == nil, "nor is what was true before")
        memory.keep(nil, for: long + [1], now: 2, epoch: memory.epoch)
        #expect(memory.count == 0)
    }

    @Test func aPurgeForgetsAlsoWhatWasUnderWay() throws {
        let memory = try memory()
        let joe = Self.bytes("joe")
        memory.keep(Self.bytes("a"), for: joe, now: 1, epoch: memory.epoch)
        let epoch = memory.epoch
        memory.purge()
        #expect(memory.recall(joe) == nil)
        memory.keep(Self.bytes("a"), for: joe, now: 2, epoch: epoch)
        #expect(memory.recall(joe) == nil)
    }

    @Test func aMapInTroubleIsAskedNowAndThen() throws {
        let memory = try memory()
        for _ in 1..<MapMemory.patience { memory.failed("down", now: 1_000) }
        #expect(!memory.isTroubled, "one bad answer is no trouble")
        memory.failed("down again", now: 1_000)
        #expect(memory.isTroubled)
        #expect(memory.lastFailure == "down again")
        let times = Array(stride(from: UInt64(1_000), to: 11_000, by: 10))
        #expect(times.count { memory.mayProbe($0) } == 9, "once a second")
        memory.keep(nil, for: [1], now: 12_000, epoch: memory.epoch)
        #expect(!memory.isTroubled)
    }

    @Test func aNoticeComesOnceAMinute() {
        let book = LogBook()
        let notice = Notice(book.logger)
        for second: UInt64 in 0..<150 { notice.say(second * 1000) { "full\($0)" } }
        #expect(
            book.lines == [
                "error: full", "error: full; 59 more since the last line", "error: full; 59 more since the last line",
            ])
    }
}
