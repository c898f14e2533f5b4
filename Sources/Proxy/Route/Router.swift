import Lookup
import Loop

/// Finds a user's real server: the user's own words where they are asked for, the popmap, `--outgoing_server`.
final class Router {
    /// What came of it.
    enum Route: Equatable {
        /// A real server, and the name as far as the user's words were used up.
        case found(Destination, name: [UInt8])
        /// There is none for this user, whose name is as far as the user's words were used up.
        case none(name: [UInt8])
        /// The popmap cannot tell now; the text is for the log.
        case unavailable(String)
    }

    private let options: Options
    private let delimiter: [UInt8]
    private let queryKeys: [QueryKey]
    private let maps: [LookupMap]
    /// What is tried behind each of `--outgoing_server`.
    private let followers: [[ServerAddress]]
    /// Which of `--outgoing_server` comes next.
    private var turn: Int
    private let tally: Tally
    /// Where maps and their answers are written down; nil for nowhere.
    private let trace: RouteTrace?

    /// A router of one loop.
    /// - Parameters:
    ///   - maps: those of `--map_library`, in their order.
    ///   - trace: where maps and their answers are written down; nil for nowhere.
    ///   - turn: at which of `--outgoing_server` to begin.
    init(_ options: Options, maps: [LookupMap], turn: Int, tally: Tally = .unread(), trace: RouteTrace? = nil) {
        self.options = options
        self.trace = trace
        self.tally = tally
        self.maps = maps
        self.turn = turn
        let servers = options.outgoingServer
        let others = min(servers.count, Destination.serverLimit) - 1
        followers = servers.indices.map { first in
            others < 1 ? [] : (1...others).map { servers[(first + $0) % servers.count] }
        }
        delimiter = Array(options.domainDelimiter.utf8)
        queryKeys = options.queryKey.compactMap { QueryKey($0) }
    }

    /// The real server of a user.
    /// - Parameters:
    ///   - name: as the client gave it.
    ///   - names: how to make the looked-up form of it.
    ///   - source: the client's address.
    ///   - destination: the address it connected to.
    func route(
        _ name: [UInt8], names: UserName, source: SocketAddress, destination: SocketAddress
    ) async -> Route {
        if options.clientServerSpecification, let halves = Delimiter.split(name, at: delimiter) {
            // Who says that there is a server and does not name it gets none of the popmap's.
            guard let place = Destination(value: halves.tail, delimiter: [], alone: true) else {
                return nextServer(halves.head)
            }
            return .found(place, name: halves.head)
        }
        let form = names.form(of: name, for: .serverLookup)
        if !maps.isEmpty {
            let keys =
                queryKeys.isEmpty
                ? [form]
                : queryKeys.map { $0.key(for: form, delimiter: delimiter, source: source, destination: destination) }
            if let route = await lookUp(keys, name) { return route }
        }
        return nextServer(name)
    }

    /// Asks every map for the first key, then for the next: keys go from the particular to the general, and who has an
    /// entry of their own means that one, whichever map it is in.
    /// - Returns: nil where no map has any of the keys.
    private func lookUp(_ keys: [[UInt8]], _ name: [UInt8]) async -> Route? {
        var isOld = false
        var doubt: String?
        for key in keys {
            for map in maps {
                let reply: LookupMap.Reply
                if let known = map.known(key) {
                    reply = known
                    tally.add(reply.isOld ? .stale : .fresh)
                    trace?.add(map, key, reply, isKnown: true)
                } else {
                    let epoch = map.memory?.epoch ?? 0
                    reply =
                        if let said = map.client.answerAtOnce(key).flatMap(map.reply(fromTable:)) {
                            said
                        } else {
                            map.reply(to: key, await map.client.lookUp(key), epoch: epoch)
                        }
                    tally.add(reply.counter)
                    trace?.add(map, key, reply, isKnown: false)
                }
                switch reply {
                case .found(let value, let old):
                    guard var place = Destination(value: value, delimiter: delimiter) else {
                        return .unavailable("the popmap's entry \"\(Printable.text(value))\" names no host")
                    }
                    place.isOld = isOld || old
                    return .found(place, name: name)
                case .absent(let old, let why):
                    isOld = isOld || old
                    doubt = doubt ?? why
                // Those behind might know the user, but only as this one does not.
                case .unavailable(let reason): return .unavailable(reason)
                }
            }
        }
        if let doubt { return .unavailable(doubt) }
        return isOld ? oldAbsence(name) : nil
    }

    /// Nobody is told for good that there is no server for them while a map cannot be asked.
    private func oldAbsence(_ name: [UInt8]) -> Route {
        guard case .found(var place, let name) = nextServer(name) else {
            return .unavailable("the user was not there when it could be asked")
        }
        place.isOld = true
        return .found(place, name: name)
    }

    private func nextServer(_ name: [UInt8]) -> Route {
        let count = options.outgoingServer.count
        guard count > 0 else { return .none(name: name) }
        let index = turn % count
        turn &+= 1
        let server = options.outgoingServer[index]
        return .found(Destination(host: server.host, port: server.port, others: followers[index]), name: name)
    }
}
