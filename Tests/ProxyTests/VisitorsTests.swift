import Logging
import Testing

@testable import Daemon
@testable import Proxy

@Suite struct VisitorsTests {
    private final class Guest: Visitor {
        var place: Int32 = 0
        var entry: SessionEntry? { nil }
        func stop() {}
        func kick(_ names: [String]) -> Bool { false }
    }

    @Test func eachGoesFromWhereverItStands() {
        var visitors = Visitors()
        var model: [ObjectIdentifier] = []
        let guests = (0..<50).map { _ in Guest() }
        for _ in 0..<5000 {
            let guest = guests.randomElement() ?? Guest()
            if model.contains(ObjectIdentifier(guest)) {
                visitors.remove(guest)
                model.removeAll { $0 == ObjectIdentifier(guest) }
                // Who has gone is not there a second time.
                visitors.remove(guest)
            } else {
                visitors.add(guest)
                model.append(ObjectIdentifier(guest))
            }
            #expect(Set(visitors.all.map { ObjectIdentifier($0) }) == Set(model))
            #expect(visitors.all.enumerated().allSatisfy { Int($1.place) == $0 })
        }
        let stranger = Guest()
        stranger.place = 1000
        visitors.remove(stranger)
        #expect(visitors.all.count == model.count)
    }

    /// One and the same line, whether it is written in place or given to a logger.
    @Test func linesAreTheSameEitherWay() {
        let book = LogBook()
        LineLog(book.logger, sink: nil).write(.info, capacity: 40) { line in
            line.append("Connect:  ")
            line.append("joe")
            line.append(UInt64(18_446_744_073_709_551_615))
        }
        let room = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 12)
        defer { room.deallocate() }
        let count = LineText.fill(room) { line in
            line.append("Connect:  ")
            line.append("joe and more")
        }
        #expect(book.lines == ["info: Connect:  joe18446744073709551615"])
        #expect(String(decoding: room[..<count], as: UTF8.self) == "Connect:  jo")
    }
}
