import Glibc

/// How many sessions the descriptors of this process are enough for.
struct Capacity: Equatable {
    /// Descriptors the process may have open.
    let descriptors: Int
    /// Sessions, each with a connection to its client and one to its real server.
    let sessions: Int

    /// Descriptors of the process as a whole: listening sockets, log, signals and what libraries open now and then.
    static let base = 32
    /// Of each loop: io_uring or epoll, their alarms, a helper's connection, and clients that are on the way out: with
    /// io_uring a turn accepts before it closes.
    static let perLoop = 24
    /// Of each loop for each map: its connections, and those that are retired.
    static let perMap = 8
    /// Of each thread that resolves names.
    static let perResolver = 2

    /// Of whoever does not count.
    static let unlimited = Capacity(descriptors: .max, loops: 0, maps: 0, resolvers: 0)

    /// The capacity of a process of so many parts.
    init(descriptors: Int, loops: Int, maps: Int, resolvers: Int) {
        self.descriptors = descriptors
        let own = Self.base + loops * (Self.perLoop + maps * Self.perMap) + resolvers * Self.perResolver
        sessions = max((descriptors - own) / 2, 1)
    }
}
