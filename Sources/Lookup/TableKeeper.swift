import CLinux
import Glibc
import Loop
import PopmapTable
import Synchronization

/// Gets the tables of one map from its provider, and keeps the last one for the clients of all loops.
///
/// A table answers as the provider would, without a word between processes. It is asked for where lookups come that no
/// table could answer, on a thread of its own: meanwhile the provider is asked, as before. What a new one costs the
/// provider grows with the entries, so it is not asked for before some lookups have missed it.
public final class TableKeeper: Sendable {
    /// Entries of a table for each lookup that is to have missed it before a new one is asked for: reading a file's entry
    /// costs a fraction of asking for one.
    static let entriesPerMiss = 64
    /// Milliseconds between two requests where there was no table: at first, and at most.
    static let pauses: ClosedRange<UInt64> = 25...5_000
    /// Seconds a provider may take to make one.
    static let patience = 60

    private struct State {
        var table: PopmapTable?
        /// The one before, and when it was last found to be right, on the loops' clock.
        var old: (table: PopmapTable, time: UInt64)?
        var pause = pauses.lowerBound
    }

    private let path: String
    private let request: [UInt8]
    private let state = Mutex(State())
    /// Counts the tables there were.
    private let number = Atomic<Int>(0)
    private let misses = Atomic<Int>(0)
    private let threshold = Atomic<Int>(1)
    /// Milliseconds on the loops' clock before which no table is asked for.
    private let notBefore = Atomic<UInt64>(0)
    private let isAsking = Atomic<Bool>(false)

    /// A keeper that has none yet.
    /// - Parameters:
    ///   - path: the Unix socket of the provider.
    ///   - map: the name of the map.
    public init(path: String, map: String = "popmap") {
        self.path = path
        var request: [UInt8] = []
        Wire.append(map: Array((Wire.tablePrefix + map).utf8), key: [], to: &request)
        self.request = request
    }

    /// Changes with the table.
    var version: Int { number.load(ordering: .acquiring) }

    /// The last table, and its version; nil where it is out of date.
    var current: (table: PopmapTable?, version: Int) { state.withLock { ($0.table, version) } }

    /// Whether a table is there that answers.
    package var isReady: Bool { state.withLock { $0.table?.isCurrent ?? false } }

    /// Takes note that a table is out of date.
    /// - Parameter seen: when it was right for the last time, as far as the caller knows.
    func drop(_ table: PopmapTable, seen: UInt64) {
        state.withLock { state in
            guard state.table === table else { return }
            state.table = nil
            state.old = (table, seen)
            number.add(1, ordering: .releasing)
        }
    }

    /// What the last table said of a key, now that it is out of date, and when that was right: for times in which the
    /// provider cannot tell. Nil where there is no such table.
    func recall(_ key: [UInt8]) -> (finding: PopmapTable.Finding, time: UInt64)? {
        state.withLock { $0.old }.map { ($0.table.find(key), $0.time) }
    }

    /// Lets go of the tables.
    /// - Returns: how many entries the last one had.
    @discardableResult
    public func forget() -> Int {
        state.withLock { state in
            let count = (state.table ?? state.old?.table)?.count ?? 0
            state.old = nil
            guard state.table != nil else { return count }
            state.table = nil
            number.add(1, ordering: .releasing)
            return count
        }
    }

    /// Takes note of a lookup that no table could answer; asks for one where enough have come.
    func missed(_ now: UInt64) {
        let count = misses.add(1, ordering: .relaxed).newValue
        guard count >= threshold.load(ordering: .relaxed), notBefore.load(ordering: .relaxed) <= now,
            isAsking.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        else { return }
        do {
            try startThread(name: "popmap table") { self.ask() }
        } catch {
            wait()
            isAsking.store(false, ordering: .releasing)
        }
    }

    private func ask() {
        defer { isAsking.store(false, ordering: .releasing) }
        switch fetch() {
        case .table(let table):
            misses.store(0, ordering: .relaxed)
            threshold.store(max(table.count / Self.entriesPerMiss, 1), ordering: .relaxed)
            state.withLock { state in
                state.table = table
                state.old = nil
                state.pause = Self.pauses.lowerBound
                number.add(1, ordering: .releasing)
            }
        case .later: wait()
        case .never: notBefore.store(.max, ordering: .relaxed)
        }
    }

    private func wait() {
        let pause = state.withLock { state in
            defer { state.pause = min(state.pause * 2, Self.pauses.upperBound) }
            return state.pause
        }
        notBefore.store(LoopThread.clock() &+ pause, ordering: .relaxed)
    }

    private enum Reply {
        case table(PopmapTable)
        case later
        case never
    }

    private func fetch() -> Reply {
        let connection = UnixAddress.connected(to: path, seconds: Self.patience)
        guard connection >= 0 else { return .later }
        defer { close(connection) }
        guard linux_send(connection, request, request.count) == request.count else { return .later }
        var memory: Int32 = -1
        defer { if memory >= 0 { close(memory) } }
        var input = Netstring(limit: Limits.reply)
        while true {
            let got = withUnsafeTemporaryAllocation(byteCount: Limits.reply, alignment: 8) { room in
                var one: Int32 = -1
                let count = linux_receive_descriptor(connection, room.baseAddress, room.count, &one)
                if one >= 0 {
                    if memory >= 0 { close(memory) }
                    memory = one
                }
                if count > 0 { input.append(UnsafeRawBufferPointer(rebasing: room.prefix(count))) }
                return count
            }
            guard got > 0 else { return .later }
            do {
                guard let payload = try input.next() else { continue }
                switch Wire.answer(payload) {
                case .found:
                    // A table that cannot be read is of another version, and so is the next.
                    return PopmapTable(descriptor: memory).map { .table($0) } ?? .never
                case .permanent: return .never
                case .notFound, .temporary: return .later
                }
            } catch {
                return .never
            }
        }
    }
}
