import Foundation
import Lookup
import Provider
import SQL
import Synchronization
import Testing

/// Hosts that the test tells what to do.
private final class Hosts: Sendable {
    enum Mood: Equatable {
        case works
        case refuses
        /// Connections to it do not come about until it is in another mood.
        case hangs
        /// It takes connections and answers nothing.
        case silent
        /// It breaks the connection off when asked.
        case breaks
        case impossible
        case wrong
    }

    private struct State {
        var moods: [Mood]
        var opened: [Int] = []
        var opening = 0
        var mostOpening = 0
        var closed = 0
    }

    private let state: Mutex<State>

    init(_ moods: [Mood]) {
        state = Mutex(State(moods: moods))
    }

    var count: Int { state.withLock { $0.moods.count } }
    var opened: [Int] { state.withLock { $0.opened } }
    var mostOpening: Int { state.withLock { $0.mostOpening } }
    var closed: Int { state.withLock { $0.closed } }

    func set(_ host: Int, _ mood: Mood) {
        state.withLock { $0.moods[host] = mood }
    }

    func mood(_ host: Int) -> Mood {
        state.withLock { $0.moods[host] }
    }

    func began(_ host: Int) {
        state.withLock {
            $0.opened.append(host)
            $0.opening += 1
            $0.mostOpening = max($0.mostOpening, $0.opening)
        }
    }

    func ended() {
        state.withLock { $0.opening -= 1 }
    }

    func close() {
        state.withLock { $0.closed += 1 }
    }
}

private final class Fake: SQLConnection {
    static var cutsAtBlank: Bool { false }
    private let hosts: Hosts
    private let host: Int

    private init(_ hosts: Hosts, _ host: Int) {
        (self.hosts, self.host) = (hosts, host)
    }

    deinit {
        hosts.close()
    }

    static func settings(_ options: String) throws(ConfigurationError) -> Hosts {
        throw ConfigurationError("the test makes its own")
    }

    static func hosts(_ settings: Hosts) -> [String] {
        (0..<settings.count).map { "host\($0)" }
    }

    static func open(_ settings: Hosts, host: Int, by deadline: Deadline) throws(SQLFault) -> Fake {
        settings.began(host)
        defer { settings.ended() }
        while settings.mood(host) == .hangs { usleep(1000) }
        if settings.mood(host) == .refuses { throw SQLFault(.temporary, "refused") }
        return Fake(settings, host)
    }

    func row(_ key: [UInt8], by deadline: Deadline) throws(SQLFault) -> SQLRow? {
        switch hosts.mood(host) {
        case .silent, .hangs:
            usleep(UInt32(deadline.remaining) * 1000)
            throw SQLFault(.late, "no answer in time")
        case .breaks, .refuses: throw SQLFault(.temporary, "broken off")
        case .impossible: throw SQLFault(.impossibleKey, "no such key can be")
        case .wrong: throw SQLFault(.permanent, "this is wrong")
        case .works: return key.isEmpty ? nil : SQLRow(server: Array("from\(host)".utf8), port: nil)
        }
    }
}

/// Which host is asked when, with hosts that fail in every way.
struct SQLPopmapTests {
    private func popmap(_ hosts: Hosts, patience: Int = 400) -> SQLPopmap<Fake> {
        SQLPopmap<Fake>(SQLPopmap<Fake>.Configuration(settings: hosts, patience: patience))
    }

    private let key = Array("joe".utf8)

    @Test func oneConnectionServesManyLookups() {
        let hosts = Hosts([.works, .works])
        var popmap = popmap(hosts)
        for _ in 0..<100 { #expect(popmap.lookup(key) == .found("from0")) }
        #expect(popmap.lookup([]) == .notFound)
        #expect(hosts.opened == [0])
        popmap.reopen()
        #expect(popmap.lookup(key) == .found("from0"))
        #expect(hosts.opened == [0, 0])
        #expect(hosts.closed == 1)
    }

    @Test(arguments: [Hosts.Mood.refuses, .hangs]) fileprivate func theNextHostStandsIn(mood: Hosts.Mood) {
        let hosts = Hosts([mood, mood, .works])
        defer { for host in 0..<3 { hosts.set(host, .works) } }
        var popmap = popmap(hosts)
        #expect(popmap.lookup(key) == .found("from2"))
        #expect(hosts.opened == [0, 1, 2])
        #expect(popmap.lookup(key) == .found("from2"))
    }

    @Test func allDownIsTemporaryAndNeverNotFound() {
        let hosts = Hosts([.refuses, .hangs, .refuses])
        defer { hosts.set(1, .works) }
        var popmap = popmap(hosts)
        for _ in 0..<3 {
            let answer = popmap.lookup(key)
            #expect(answer == .temporary("host0: refused; host1: no connection in time; host2: refused"))
        }
        // One thread waits for the host that hangs, however often it is asked for.
        #expect(hosts.opened.filter { $0 == 1 }.count == 1)
        #expect(hosts.mostOpening <= 2)
        hosts.set(0, .works)
        #expect(popmap.lookup(key) == .found("from0"))
    }

    @Test func whatAnEarlierLookupLeftBehindIsTakenUp() async throws {
        let hosts = Hosts([.hangs])
        var popmap = popmap(hosts)
        #expect(popmap.lookup(key).isTemporary)
        hosts.set(0, .works)
        #expect(popmap.lookup(key) == .found("from0"))
        #expect(hosts.opened == [0])
    }

    @Test func anOldFailureSaysNothingOfNow() async throws {
        let hosts = Hosts([.hangs])
        var popmap = popmap(hosts)
        #expect(popmap.lookup(key).isTemporary)
        hosts.set(0, .refuses)
        try await Task.sleep(for: .milliseconds(50))
        hosts.set(0, .works)
        #expect(popmap.lookup(key) == .found("from0"))
    }

    @Test func aConnectionThatBreaksIsMadeAnewAtOnce() {
        let hosts = Hosts([.works, .works])
        var popmap = popmap(hosts)
        #expect(popmap.lookup(key) == .found("from0"))
        hosts.set(0, .breaks)
        // It can still be connected to, so it is asked once more, and then it is the host's own failure.
        #expect(popmap.lookup(key) == .temporary("broken off"))
        hosts.set(0, .refuses)
        #expect(popmap.lookup(key) == .found("from1"))
        hosts.set(1, .refuses)
        #expect(popmap.lookup(key).isTemporary)
        hosts.set(1, .works)
        #expect(popmap.lookup(key) == .found("from1"))
        #expect(hosts.opened == [0, 0, 0, 1, 0, 1, 0, 1])
    }

    @Test func aHostThatFallsSilentLeavesTimeForTheOthers() {
        let hosts = Hosts([.works, .works])
        defer { hosts.set(0, .works) }
        var popmap = popmap(hosts, patience: 1000)
        #expect(popmap.lookup(key) == .found("from0"))
        hosts.set(0, .hangs)
        #expect(popmap.lookup(key) == .found("from1"))
    }

    @Test func aSilentHostAloneIsTemporary() {
        let hosts = Hosts([.silent])
        var popmap = popmap(hosts)
        for _ in 0..<3 { #expect(popmap.lookup(key) == .temporary("no answer in time")) }
        hosts.set(0, .works)
        #expect(popmap.lookup(key) == .found("from0"))
        #expect(hosts.closed == 3)
    }

    @Test func impossibleKeysCostNoConnection() {
        let hosts = Hosts([.impossible])
        var popmap = popmap(hosts)
        for _ in 0..<5 { #expect(popmap.lookup(key) == .notFound) }
        #expect(hosts.opened == [0])
        hosts.set(0, .wrong)
        for _ in 0..<5 { #expect(popmap.lookup(key) == .permanent("this is wrong")) }
        hosts.set(0, .works)
        #expect(popmap.lookup(key) == .found("from0"))
    }

    @Test func theFirstHostIsPreferredAgain() async throws {
        let hosts = Hosts([.refuses, .works])
        var popmap = popmap(hosts)
        #expect(popmap.lookup(key) == .found("from1"))
        hosts.set(0, .works)
        // Not at once; and no lookup fails, or waits, for it.
        #expect(popmap.lookup(key) == .found("from1"))
        var answers: [Answer] = []
        try await eventually("the first host") {
            answers.append(popmap.lookup(key))
            return answers.last == .found("from0")
        }
        #expect(answers.dropLast().allSatisfy { $0 == .found("from1") })
        #expect(hosts.opened == [0, 1, 0])
    }

    @Test func aFaultIsOneShortLine() {
        let fault = SQLFault(.temporary, "FATAL:  no\n\tgood\u{1b}[1m\n" + String(repeating: "x", count: 1000))
        #expect(fault.text.utf8.count == 300)
        #expect(!fault.text.utf8.contains { $0 < 0x20 })
        #expect(SQLFault(.late, "late \n").text == "late")
    }
}
