/// What a map has said to some keys, at most so many: where there is no room, one goes that was not used of late.
///
/// Finding, keeping and removing take constant time; making room does so on average (the clock algorithm).
struct AnswerTable {
    /// An answer and when it came.
    struct Kept: Equatable {
        /// The value; nil where the map does not have the key.
        let value: [UInt8]?
        /// Milliseconds on the loops' clock.
        let time: UInt64
    }

    private struct Entry {
        var key: [UInt8]
        var kept: Kept
        /// Whether it was asked for since the hand last passed.
        var used: Bool
    }

    /// Most entries.
    let capacity: Int
    private var places: [[UInt8]: Int] = [:]
    private var entries: [Entry] = []
    private var hand = 0

    /// How many answers there are.
    var count: Int { entries.count }

    /// A table for so many answers; it takes memory as they come.
    init(capacity: Int) {
        self.capacity = capacity
    }

    /// The answer to a key.
    mutating func find(_ key: [UInt8]) -> Kept? {
        guard let place = places[key] else { return nil }
        entries[place].used = true
        return entries[place].kept
    }

    /// Keeps an answer in place of the one before.
    mutating func keep(_ kept: Kept, for key: [UInt8]) {
        if let place = places[key] {
            entries[place].kept = kept
            entries[place].used = true
            return
        }
        guard capacity > 0 else { return }
        // Not yet used: a name that comes once only is the first to go.
        let entry = Entry(key: key, kept: kept, used: false)
        guard entries.count >= capacity else {
            places[key] = entries.count
            return entries.append(entry)
        }
        let place = freePlace()
        places[entries[place].key] = nil
        places[key] = place
        entries[place] = entry
    }

    /// Forgets one key.
    mutating func remove(_ key: [UInt8]) {
        guard let place = places.removeValue(forKey: key), let last = entries.popLast() else { return }
        guard place < entries.count else { return }
        entries[place] = last
        places[last.key] = place
    }

    /// Forgets everything.
    mutating func removeAll() {
        self = AnswerTable(capacity: capacity)
    }

    private mutating func freePlace() -> Int {
        while true {
            if hand >= entries.count { hand = 0 }
            defer { hand += 1 }
            guard entries[hand].used else { return hand }
            entries[hand].used = false
        }
    }
}
