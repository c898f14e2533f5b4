/// What a login meets on its way to a real server, written down for who asks.
final class RouteTrace {
    /// One question to a map, or to what it said before.
    struct Lookup {
        /// What the log calls the map; nil where there is one only.
        let map: String?
        let key: [UInt8]
        let reply: LookupMap.Reply
        /// Whether it was known without asking.
        let isKnown: Bool
    }

    /// In the order they were asked.
    private(set) var lookups: [Lookup] = []

    /// A map was asked, or its memory.
    func add(_ map: LookupMap, _ key: [UInt8], _ reply: LookupMap.Reply, isKnown: Bool) {
        lookups.append(Lookup(map: map.name, key: key, reply: reply, isKnown: isKnown))
    }
}
