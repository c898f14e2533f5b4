import Synchronization

/// What one map has answered of late, shared by all loops: `--map_cache_ttl`, `--map_stale_ttl`, `--map_cache_size`.
///
/// No password is in it, only keys and values. Answers that the map lacks a key have a quarter of the room to
/// themselves, so that somebody who tries names cannot push out those of users.
final class MapMemory: Sendable {
    /// How long answers serve.
    struct Policy: Equatable, Sendable {
        /// Of so many parts of a time, an absence counts one: whoever is not there may be added at any moment.
        static let absenceParts: UInt64 = 10

        /// Milliseconds for which an answer serves as if the map had just given it; 0 for not at all.
        var fresh: UInt64
        /// Milliseconds for which it serves while the map cannot tell; 0 for not at all.
        var stale: UInt64
        /// Most entries.
        var size: Int

        /// Those of the options; nil where they leave nothing to remember.
        init?(_ options: Options) {
            self.init(
                fresh: UInt64(clamping: options.mapCacheTtl) &* 1000,
                stale: UInt64(clamping: options.mapStaleTtl) &* 1000, size: options.mapCacheSize)
        }

        /// A policy; nil where it leaves nothing to remember.
        init?(fresh: UInt64, stale: UInt64, size: Int) {
            guard fresh > 0 || stale > 0, size > 0 else { return nil }
            self.fresh = fresh
            self.stale = stale
            self.size = size
        }

        /// Whether an answer serves without asking.
        func isFresh(_ kept: AnswerTable.Kept, _ now: UInt64) -> Bool {
            age(kept, now) < (kept.value == nil ? fresh / Self.absenceParts : fresh)
        }

        /// Whether an answer serves while the map cannot tell. An absence then only leads on to the next map or key.
        func isUsable(_ kept: AnswerTable.Kept, _ now: UInt64) -> Bool { age(kept, now) < stale }

        /// Whether an absence is young enough to mean, while the map cannot tell, that the user is in no map.
        func decides(_ kept: AnswerTable.Kept, _ now: UInt64) -> Bool { age(kept, now) < stale / Self.absenceParts }

        private func age(_ kept: AnswerTable.Kept, _ now: UInt64) -> UInt64 { now > kept.time ? now - kept.time : 0 }
    }

    /// Longest key and value, in bytes together, that are kept: so that entries bound memory.
    static let entryLimit = 512
    /// Lookups in a row that must fail before the map is asked now and then only.
    static let patience = 3
    /// Milliseconds between two lookups of a map that fails, as long as there are answers to use instead.
    static let probeInterval: UInt64 = 1_000
    /// Parts of the table with a lock each.
    private static let shardCount = 8

    /// One part of the keys.
    private final class Shard: Sendable {
        struct Tables {
            var present: AnswerTable
            var absent: AnswerTable
        }

        let tables: Mutex<Tables>

        init(capacity: Int) {
            let absent = capacity / 4
            tables = Mutex(
                Tables(
                    present: AnswerTable(capacity: max(capacity - absent, 1)),
                    absent: AnswerTable(capacity: max(absent, 1))))
        }
    }

    /// How long answers serve.
    let policy: Policy
    private let shards: [Shard]
    private let generation = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)
    private let nextProbe = Atomic<UInt64>(0)
    private let reason = Mutex("")

    /// An empty memory.
    init(_ policy: Policy) {
        self.policy = policy
        let count = min(Self.shardCount, policy.size)
        shards = (0..<count).map { _ in Shard(capacity: (policy.size + count - 1) / count) }
    }

    /// Answers that are kept.
    var count: Int {
        shards.reduce(0) { sum, shard in sum + shard.tables.withLock { $0.present.count + $0.absent.count } }
    }

    /// Changes with `purge`: what was asked before it is not kept after it.
    var epoch: Int { generation.load(ordering: .relaxed) }

    /// Why the map could not tell the last time.
    var lastFailure: String { reason.withLock { $0 } }

    /// Whether the map has failed so often that answers are better taken from here.
    var isTroubled: Bool { failures.load(ordering: .relaxed) >= Self.patience }

    /// What is known of a key.
    func recall(_ key: [UInt8]) -> AnswerTable.Kept? {
        shard(key).tables.withLock { $0.present.find(key) ?? $0.absent.find(key) }
    }

    /// Keeps an answer the map gave.
    /// - Parameter epoch: that of the memory when the map was asked.
    func keep(_ value: [UInt8]?, for key: [UInt8], now: UInt64, epoch: Int) {
        recovered()
        guard epoch == self.epoch, key.count + (value?.count ?? 0) <= Self.entryLimit else { return forget(key) }
        let kept = AnswerTable.Kept(value: value, time: now)
        shard(key).tables.withLock { tables in
            if value == nil {
                tables.present.remove(key)
                tables.absent.keep(kept, for: key)
            } else {
                if tables.absent.count > 0 { tables.absent.remove(key) }
                tables.present.keep(kept, for: key)
            }
        }
    }

    /// Takes note that the map can tell.
    func recovered() {
        if failures.load(ordering: .relaxed) > 0 { failures.store(0, ordering: .relaxed) }
    }

    /// Takes note that the map could not tell.
    func failed(_ why: String, now: UInt64) {
        failures.add(1, ordering: .relaxed)
        nextProbe.store(now &+ Self.probeInterval, ordering: .relaxed)
        reason.withLock { $0 = why }
    }

    /// Whether it is time that somebody asks a map in trouble again; true for one caller each time.
    func mayProbe(_ now: UInt64) -> Bool {
        let due = nextProbe.load(ordering: .relaxed)
        guard due <= now else { return false }
        return nextProbe.compareExchange(expected: due, desired: now &+ Self.probeInterval, ordering: .relaxed)
            .exchanged
    }

    /// Forgets everything, as on SIGHUP.
    func purge() {
        generation.add(1, ordering: .relaxed)
        for shard in shards {
            shard.tables.withLock { tables in
                tables.present.removeAll()
                tables.absent.removeAll()
            }
        }
    }

    private func forget(_ key: [UInt8]) {
        shard(key).tables.withLock { tables in
            tables.present.remove(key)
            tables.absent.remove(key)
        }
    }

    private func shard(_ key: [UInt8]) -> Shard {
        shards[Int(UInt(bitPattern: key.hashValue) % UInt(shards.count))]
    }
}
