/// Sessions that have not logged in, the oldest first: whoever came first goes first when there is no room.
///
/// The links are the sessions' own, so that neither coming nor going costs memory.
struct Queue {
    /// How many sessions may be looked at for one that waits for its client.
    static let search = 32

    private(set) var first: Session?
    private var last: Session?

    /// The newest.
    mutating func append(_ session: Session) {
        session.earlier = last
        if let last { last.later = session } else { first = session }
        last = session
    }

    /// One that has logged in, or ended.
    mutating func remove(_ session: Session) {
        let (earlier, later) = (session.earlier, session.later)
        guard earlier != nil || later != nil || first === session else { return }
        if let earlier { earlier.later = later } else { first = later }
        if let later { later.earlier = earlier } else { last = earlier }
        session.earlier = nil
        session.later = nil
    }

    /// The oldest that waits for its client. Those whose login is under way go to the end of the queue.
    mutating func oldest() -> Session? {
        for _ in 0..<Self.search {
            guard let first else { return nil }
            if first.isWaiting { return first }
            remove(first)
            append(first)
        }
        return nil
    }
}
