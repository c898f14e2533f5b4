import Logging
import Lookup
import Loop

/// A map to ask, and what it said before. One of each loop; an object, as every login goes through all of them.
final class LookupMap {
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
    let memory: MapMemory?
    /// Told once a minute that old answers are in use; nil for nobody.
    let notice: Notice?

    /// A map behind the way to its provider.
    init(name: String?, client: Client, memory: MapMemory? = nil, notice: Notice? = nil) {
        self.name = name
        self.client = client
        self.memory = memory
        self.notice = notice
    }

    /// What serves without asking; nil where the map is to be asked.
    func known(_ key: [UInt8]) -> Reply? {
        guard let memory else { return nil }
        let isTroubled = memory.isTroubled
        guard isTroubled || memory.policy.fresh > 0, let kept = recall(key, memory) else { return nil }
        let now = LoopThread.clock()
        if memory.policy.isFresh(kept, now) {
            return kept.value.map { .found($0, isOld: false) } ?? .absent(isOld: false, doubt: nil)
        }
        guard isTroubled, memory.policy.isUsable(kept, now), !memory.mayProbe(now) else { return nil }
        return old(kept, memory, memory.lastFailure, now)
    }

    /// What comes of the map's answer, which is remembered.
    ///
    /// Apart from the asking, so that no login needs the memory of one more suspended function.
    /// - Parameter epoch: that of the memory when the map was asked.
    func reply(to key: [UInt8], _ answer: Answer, epoch: Int) -> Reply {
        switch answer {
        case .found(let value):
            memory?.keep(value, for: key, now: LoopThread.clock(), epoch: epoch)
            return .found(value, isOld: false)
        case .notFound:
            memory?.keep(nil, for: key, now: LoopThread.clock(), epoch: epoch)
            return .absent(isOld: false, doubt: nil)
        case .permanent(let reason): return .unavailable(labelled(reason))
        case .temporary(let reason):
            guard let memory else { return .unavailable(labelled(reason)) }
            let now = LoopThread.clock()
            memory.failed(reason, now: now)
            guard let kept = recall(key, memory), memory.policy.isUsable(kept, now) else {
                return .unavailable(labelled(reason))
            }
            return old(kept, memory, reason, now)
        }
    }

    /// What comes of what the map's table says. That is not remembered: the table is there as long as anything better is
    /// not.
    func reply(fromTable answer: Answer) -> Reply? {
        switch answer {
        case .found(let value):
            memory?.recovered()
            return .found(value, isOld: false)
        case .notFound:
            memory?.recovered()
            return .absent(isOld: false, doubt: nil)
        case .permanent, .temporary: return nil
        }
    }

    /// What the map said last.
    private func recall(_ key: [UInt8], _ memory: MapMemory) -> AnswerTable.Kept? {
        let kept = memory.recall(key)
        guard let table = client.recall(key), table.time > kept?.time ?? 0 else { return kept }
        return AnswerTable.Kept(value: table.value, time: table.time)
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

extension LookupMap.Reply {
    /// Whether it is what the map said before, as it cannot be asked now.
    var isOld: Bool {
        switch self {
        case .found(_, let isOld), .absent(let isOld, _): isOld
        case .unavailable: false
        }
    }

    /// As what a lookup counts that the map was asked for.
    var counter: Tally.Counter {
        switch self {
        case .found(_, isOld: false): .found
        case .absent(isOld: false, _): .absent
        case .found, .absent: .stale
        case .unavailable: .unavailable
        }
    }
}
