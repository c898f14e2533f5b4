import CLinux
import Glibc
import Logging
import Lookup
import Synchronization

/// One thread of a provider, with a map of its own.
struct ServiceWorker<Map: Popmap> {
    /// Bytes read at once: requests of a few dozen pipelined lookups.
    private static var roomSize: Int { 16 * 1024 }
    /// Nanoseconds of a lookup that is slow.
    private static var longEnough: UInt64 { 100_000_000 }

    private let pool: ServicePool
    private var map: Map
    private var reopenings = 0
    /// Whether the last lookup took so long that somebody may have lost patience.
    private var isSlow = false
    /// Nanoseconds a request may have waited behind others before it is asked at all: who sent it has no use for the
    /// answer by then, and those behind would wait even longer.
    private let longestWait: UInt64
    /// Why the last lookup failed, as the log was told.
    private var complaint: String?
    private let log = Logger(label: "lookup.service")

    /// - Parameter patience: milliseconds a lookup may take.
    init(_ pool: ServicePool, _ configuration: Map.Configuration, patience: Int) {
        self.pool = pool
        longestWait = UInt64(patience) * 2_000_000
        map = Map(configuration)
    }

    /// Serves until the pool is stopped, then finishes what has been asked.
    mutating func run() {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.roomSize, alignment: 16)
        defer { unsafe room.deallocate() }
        while true {
            switch pool.wait() {
            case .incoming(let listener): pool.accept(listener)
            case .connection(var connection, let token):
                let next: ServiceConnection.Next =
                    isSlow && connection.isAbandoned ? .close : connection.serve(room: room) { answer($0, waited: $1) }
                pool.giveBack(connection, token, next: next)
            case .stop:
                finish(room)
                return
            case .none: break
            }
        }
    }

    /// Answers all that has come in, and hangs up on those who did not ask.
    private mutating func finish(_ room: UnsafeMutableRawBufferPointer) {
        pool.acceptLast()
        while let taken = pool.takeAny() {
            var connection = taken.0
            serving: while true {
                switch connection.serve(room: room, answer: { answer($0, waited: $1) }) {
                case .read:
                    var wanted = pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0)
                    if poll(&wanted, 1, 0) != 1 || wanted.revents & Int16(POLLIN) == 0 { break serving }
                case .write:
                    // Who does not take replies now will not get them.
                    var wanted = pollfd(fd: connection.descriptor, events: Int16(POLLOUT), revents: 0)
                    if poll(&wanted, 1, 1000) != 1 { break serving }
                case .close: break serving
                }
            }
            pool.discard(connection.descriptor, taken.1)
        }
    }

    private mutating func answer(_ request: Wire.Request?, waited: UInt64) -> ServiceReply {
        guard let request else { return .answer(.permanent("a request is '<map> <key>'")) }
        let isOfOne = request.map.elementsEqual(pool.mapName)
        guard isOfOne || request.map.elementsEqual(pool.tableName) else {
            return .answer(.permanent("there is no map of this name here"))
        }
        let asked = pool.reopenings.load(ordering: .acquiring)
        if asked != reopenings {
            reopenings = asked
            map.reopen()
        }
        return isOfOne ? .answer(lookUp(request.key, waited: waited)) : table()
    }

    private mutating func table() -> ServiceReply {
        do {
            guard let table = try map.table() else { return .answer(.notFound) }
            return .table(table)
        } catch {
            return .answer(.permanent("lookups are all there is in this map"))
        }
    }

    private mutating func lookUp(_ key: ArraySlice<UInt8>, waited: UInt64) -> Answer {
        let began = ServiceClock.now()
        let answer = waited > longestWait ? .temporary("too many lookups wait") : map.lookup(Array(key))
        isSlow = ServiceClock.now() &- began > Self.longEnough
        switch answer {
        case .temporary(let reason), .permanent(let reason): complain(reason)
        case .found, .notFound: complain(nil)
        }
        return answer
    }

    /// Logs when lookups begin to fail, fail for another reason, and work again; not each of them.
    private mutating func complain(_ reason: String?) {
        guard reason != complaint else { return }
        complaint = reason
        if let reason {
            log.warning("lookups fail: \(reason)")
        } else {
            log.notice("lookups work again")
        }
    }
}
