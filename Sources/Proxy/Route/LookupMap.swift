import Logging
import Lookup
import Loop

/// A map to ask, and what it said before.
struct LookupMap {
    /// What came of a lookup.
    enum Reply: Equatable {
        /// The key is there; old where the map could not be asked now.
        case found([UInt8], isOld: Bool)
        /// The key is not there. Where that is old, and too old to decide about a user, `doubt` is why the map could not
        /// be asked.
        case absent(isOld: Bool, doubt: String?)
        /// Nobody can tell; the text is for the log.
        case unavailable(String)
    }

    /// What the log calls it where there are several.
    let name: String?
    /// The way to its provider.
    let client: Client
    /// What it said before; nil for nothing.
    var memory: MapMemory?
    /// Told once a minute that old answers are in use; nil for nobody.
    var notice: Notice?

    /// Asks the map, or what is known of it where that is in order.
    func answer(_ key: [UInt8]) async -> Reply {
        guard let memory else {
            switch await client.lookUp(key) {
            case .found(let value): return .found(value, isOld: false)
            case .notFound: return .absent(isOld: false, doubt: nil)
            case .temporary(let reason), .permanent(let reason): return .unavailable(labelled(reason))
            }
        }
        if let known = known(key, memory, LoopThread.clock()) { return known }
        let epoch = memory.epoch
        let answer = await client.lookUp(key)
        let now = LoopThread.clock()
        switch answer {
        case .found(let value):
            memory.keep(value, for: key, now: now, epoch: epoch)
            return .found(value, isOld: false)
        case .notFound:
            memory.keep(nil, for: key, now: now, epoch: epoch)
            return .absent(isOld: false, doubt: nil)
        case .permanent(let reason): return .unavailable(labelled(reason))
        case .temporary(let reason):
            memory.failed(reason, now: now)
            guard let kept = memory.recall(key), memory.policy.isUsable(kept, now) else {
                return .unavailable(labelled(reason))
            }
            return old(kept, memory, reason, now)
        }
    }

    /// What serves without asking.
    private func known(_ key: [UInt8], _ memory: MapMemory, _ now: UInt64) -> Reply? {
        let isTroubled = memory.isTroubled
        guard isTroubled || memory.policy.fresh > 0, let kept = memory.recall(key) else { return nil }
        if memory.policy.isFresh(kept, now) {
            return kept.value.map { .found($0, isOld: false) } ?? .absent(isOld: false, doubt: nil)
        }
        guard isTroubled, memory.policy.isUsable(kept, now), !memory.mayProbe(now) else { return nil }
        return old(kept, memory, memory.lastFailure, now)
    }

    private func old(_ kept: AnswerTable.Kept, _ memory: MapMemory, _ reason: String, _ now: UInt64) -> Reply {
        notice?.say(now) { more in
            "Popmap: \(Printable.text(labelled(reason).utf8)); what it said within the last "
                + "\(memory.policy.stale / 1000) s is used instead (--map_stale_ttl)\(more)"
        }
        if let value = kept.value { return .found(value, isOld: true) }
        return .absent(isOld: true, doubt: memory.policy.decides(kept, now) ? nil : labelled(reason))
    }

    private func labelled(_ reason: String) -> String { name.map { "\($0): \(reason)" } ?? reason }
}
