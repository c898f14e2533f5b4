import Logging
import Lookup
import Loop
import Synchronization
import Testing

@testable import Proxy

/// Routing while a map cannot be asked.
@Suite(.timeLimit(.minutes(2))) struct OldAnswerTests {
    /// Two maps whose answers a test changes, and a router that remembers.
    private final class Scene {
        let answers: [Replies]
        let book = LogBook()
        private let maps: [FakeMap]
        private let lookUps: [LookupMap]
        private let options: Options

        init(on loop: isolated Loop, stale: UInt64 = 60_000, outgoing: [String] = [], keys: [String] = []) throws {
            var options = Options()
            options.outgoingServer = outgoing.compactMap { ServerAddress($0) }
            options.queryKey = keys
            self.options = options
            let answers = [Replies(), Replies()]
            self.answers = answers
            let maps = try answers.map { answers in try FakeMap(on: loop) { answers[$0] } }
            self.maps = maps
            let (book, thread) = (book, loop.thread)
            lookUps = maps.enumerated().map { number, map in
                LookupMap(
                    name: "map\(number)", client: Client(path: map.path, deadline: 2000, connections: 1, on: thread),
                    memory: MapMemory.Policy(fresh: 0, stale: stale, size: 100).map { MapMemory($0) },
                    notice: Notice(book.logger))
            }
        }

        func route(_ name: String) async -> Router.Route {
            let nowhere = SocketAddress.of(-1, peer: true)
            let router = Router(options, maps: lookUps, turn: 0)
            return await router.route(
                Array(name.utf8), names: UserName(options), source: nowhere, destination: nowhere)
        }

        func purge() {
            for map in lookUps { map.memory?.purge() }
        }

        func close() {
            for map in lookUps { map.client.close() }
        }
    }

    private static func found(_ host: String, _ name: String = "joe", isOld: Bool) -> Router.Route {
        var place = Destination(host: host)
        place.isOld = isOld
        return .found(place, name: Array(name.utf8))
    }

    @Test func aKnownUserIsServed() async throws {
        try await onLoop { loop in
            let scene = try Scene(on: loop)
            scene.answers[0].set("joe", "OK here")
            #expect(await scene.route("joe") == Self.found("here", isOld: false))
            scene.answers[0].all = "TEMP down"
            for _ in 0..<10 { #expect(await scene.route("joe") == Self.found("here", isOld: true)) }
            #expect(await scene.route("ann") == .unavailable("map0: down"))
            #expect(scene.answers[0].asked.count < 10, "a map in trouble is not asked each time")
            let line = "error: Popmap: map0: down; what it said within the last 60 s is used instead (--map_stale_ttl)"
            #expect(scene.book.lines == [line], "once a minute")
            scene.purge()
            #expect(await scene.route("joe") == .unavailable("map0: down"))
            scene.answers[0].all = nil
            scene.answers[0].set("joe", "OK there")
            #expect(await scene.route("joe") == Self.found("there", isOld: false))
            scene.close()
        }
    }

    @Test func aFaultThatStaysIsNoReasonToLookBack() async throws {
        try await onLoop { loop in
            let scene = try Scene(on: loop)
            scene.answers[0].set("joe", "OK here")
            _ = await scene.route("joe")
            scene.answers[0].all = "PERM no such table"
            #expect(await scene.route("joe") == .unavailable("map0: no such table"))
            scene.close()
        }
    }

    /// The first map, which has nobody, is away; the user is in the second.
    @Test func anOldAbsenceLeadsOn() async throws {
        try await onLoop { loop in
            let scene = try Scene(on: loop, stale: 400, keys: ["\\U!none", "\\u"])
            scene.answers[1].set("joe", "OK here")
            #expect(await scene.route("joe") == Self.found("here", isOld: false))
            scene.answers[0].all = "TEMP down"
            // Too old to decide, not too old to lead on.
            await loop.thread.sleep(100)
            #expect(await scene.route("joe") == Self.found("here", isOld: true))
            scene.close()
        }
    }

    @Test func anOldAbsenceDoesNotDecide() async throws {
        try await onLoop { loop in
            let scene = try Scene(on: loop, stale: 2_000, outgoing: ["other"])
            #expect(await scene.route("joe") == Self.found("other", isOld: false))
            scene.answers[0].all = "TEMP down"
            #expect(await scene.route("joe") == Self.found("other", isOld: true), "it was so a moment ago")
            await loop.thread.sleep(300)
            #expect(await scene.route("joe") == .unavailable("map0: down"))
            scene.close()
        }
    }

    @Test func nobodyIsToldThatThereIsNoServerOnTheStrengthOfMemory() async throws {
        try await onLoop { loop in
            let scene = try Scene(on: loop)
            #expect(await scene.route("joe") == .none(name: Array("joe".utf8)))
            scene.answers[1].all = "TEMP down"
            guard case .unavailable = await scene.route("joe") else {
                return #expect(Bool(false), "temporarily unknown")
            }
            scene.close()
        }
    }
}

/// What a fake map says, changed while it runs.
final class Replies: Sendable {
    private let state = Mutex<(replies: [String: String], all: String?, asked: [String])>(([:], nil, []))

    /// What everybody hears; nil for their own.
    var all: String? {
        get { state.withLock { $0.all } }
        set { state.withLock { $0.all = newValue } }
    }

    var asked: [String] { state.withLock { $0.asked } }

    func set(_ key: String, _ reply: String) {
        state.withLock { $0.replies[key] = reply }
    }

    subscript(key: String) -> String? {
        state.withLock { state in
            state.asked.append(key)
            return state.all ?? state.replies[key]
        }
    }
}
