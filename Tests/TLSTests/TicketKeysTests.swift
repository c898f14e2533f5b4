import Synchronization
import Testing

@testable import TLS

/// Sessions that outlive the process they were made in.
@Suite struct TicketKeysTests {
    private final class Clock: Sendable {
        private let time = Mutex<UInt64>(10_000_000)
        var now: UInt64 { time.withLock { $0 } }
        func pass(_ lifetimes: Double) {
            time.withLock { $0 += UInt64(lifetimes * Double(TicketKeys.lifetime)) }
        }
    }

    private func opens(_ keys: TicketKeys, _ sealed: TicketKeys.Keys) -> Bool {
        sealed.name.withUnsafeBufferPointer { keys.keys(named: $0) } == sealed
    }

    @Test func processesWithOneChainHaveTheSameKeysForEver() throws {
        let clock = Clock()
        let first = TicketKeys { clock.now }
        let second = try #require(TicketKeys(first.packed) { clock.now })
        for lifetimes in [0, 0.4, 1, 1, 3.5, 200] {
            clock.pass(lifetimes)
            #expect(first.current == second.current)
            let third = try #require(TicketKeys(second.packed) { clock.now })
            #expect(third.current == first.current)
            #expect(third.packed == first.packed)
        }
    }

    @Test func aTicketLivesAtLeastOneAndAtMostTwoLifetimes() throws {
        let clock = Clock()
        let keys = TicketKeys { clock.now }
        let sealed = keys.current
        #expect(opens(keys, sealed))
        clock.pass(1)
        #expect(keys.current != sealed, "new ones are sealed with others")
        #expect(opens(keys, sealed))
        #expect(opens(try #require(TicketKeys(keys.packed) { clock.now }), sealed), "also in a process started later")
        clock.pass(1)
        #expect(!opens(keys, sealed))
    }

    @Test func othersHaveOthers() {
        let clock = Clock()
        #expect(TicketKeys { clock.now }.current != TicketKeys { clock.now }.current)
    }

    @Test func refusesWhatIsNone() {
        let clock = Clock()
        let packed = TicketKeys { clock.now }.packed
        #expect(TicketKeys(packed) { clock.now } != nil)
        for bytes in [[], Array(packed.dropLast()), packed + [1], [UInt8](repeating: 255, count: packed.count)] {
            #expect(TicketKeys(bytes) { clock.now } == nil)
        }
    }

    private func copy(_ keys: TicketKeys) throws -> TicketKeys {
        let copy = TicketKeys(keys.packed)
        return try #require(copy)
    }

    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func aSessionGoesOnInAnotherContext(version: String) throws {
        let authority = try Authority()
        let root = try authority.issue("Root", isCA: true)
        let options = try ServerTLSOptions(authority.issue("mail.test", by: root))
        var trusting = ClientTLSOptions(trusting: root.certificate)
        trusting.maximumVersion = version
        let client = try TLSContext.client(trusting)
        let sessions = TLSSessions(client)
        let keys = TicketKeys()
        var strict = options
        strict.trust.caFile = root.certificate
        strict.verifiesClients.toggle()
        let rounds: [(server: TLSContext, isResumed: Bool)] = [
            (try .server(options, tickets: keys), false),
            (try .server(options, tickets: copy(keys)), true),
            (try .server(options, tickets: copy(keys)), true),
            // Whom other rules let in has to show itself.
            (try .server(strict, tickets: keys), false),
            (try .server(strict, tickets: keys), true),
            (try .server(strict, tickets: TicketKeys()), false),
            (try .server(strict), false),
        ]
        for (number, round) in rounds.enumerated() {
            let pair = try ConnectionPair(client, round.server, name: "mail.test", sessions: sessions)
            #expect(pair.shakeHands())
            #expect(pair.client.isResumed == round.isResumed, "round \(number)")
            #expect(pair.server.isResumed == round.isResumed, "round \(number)")
            #expect(pair.greet() == "hello")
        }
    }
}
