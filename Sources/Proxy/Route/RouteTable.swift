import Control
import Loop

/// What `perditionctl lookup` answers: rows that hold for all entrances first, then what differs.
final class RouteTable {
    /// In the column of entrances, for all of them.
    static let everywhere = "all"

    /// Entrances of which the same is to be said.
    private struct Group {
        var names: [String]
        let rows: [[String]]
    }

    private var groups: [Group] = []
    /// Whether a map was asked for a key, or knew it, when this answer needed it first.
    private var sources: [[UInt8]: Bool] = [:]

    /// Takes note of what is met behind an entrance.
    func add(_ rows: [[String]], for name: String) {
        if let number = groups.firstIndex(where: { $0.rows == rows }) {
            if !groups[number].names.contains(name) { groups[number].names.append(name) }
        } else {
            groups.append(Group(names: [name], rows: rows))
        }
    }

    /// All of it.
    var answer: ControlAnswer {
        let first = groups.first?.rows ?? []
        let common = first.indices.first { row in
            groups.contains { !$0.rows.indices.contains(row) || $0.rows[row] != first[row] }
        }
        let shared = groups.count > 1 ? common ?? first.count : first.count
        let rows =
            first.prefix(shared).map { $0 + [Self.everywhere] }
            + groups.flatMap { group in
                group.rows.dropFirst(shared).map { $0 + [group.names.joined(separator: " ")] }
            }
        return ControlAnswer(columns: ["step", "what", "result", "listen"], rows: rows)
    }

    /// A way through names and maps, which settings of a listener do not change.
    struct Way {
        fileprivate var rows: [[String]]
        /// Where it leads; nil for nowhere.
        fileprivate var place: Destination?

        /// All rows, with real servers as those who come in by a listener get them.
        func rows(_ services: Services, _ settings: Settings) async -> [[String]] {
            guard var place else { return rows }
            var rows = rows
            let options = settings.options
            repeat { rows.append(await row(of: place, services, options)) } while place.advance()
            rows.append(
                ["login", options.protocolName.spoken.logName, "TLS: \(Explanation.words(options.sslMode))"])
            return rows
        }

        private func row(of place: Destination, _ services: Services, _ options: Options) async -> [String] {
            let port = place.port ?? options.outgoingPort ?? String(options.protocolName.defaultPort)
            let name = ServerAddress(host: place.host, port: port).description
            do throws(Resolver.Failure) {
                let addresses = try await services.resolver.resolve(host: place.host, port: port)
                return ["server", name, addresses.map(\.description).joined(separator: " ")]
            } catch {
                return ["server", name, "no address: \(Printable.text(error.reason.utf8))"]
            }
        }
    }

    /// Goes the way of a user who connects to an address.
    func way(
        of user: [UInt8], _ services: Services, maps: [LookupMap], source: SocketAddress, destination: SocketAddress
    ) async -> Way {
        let trace = RouteTrace()
        let options = services.options
        let router = Router(options, maps: maps, turn: 0, trace: trace)
        let isKnown = destination.host != source.host || options.explicitDomain != nil
        let domain = isKnown ? await UserName.domain(options, of: destination, services.resolver) : nil
        let names = services.settings.names.adding(domain)
        var rows = [["name", "looked up", Printable.text(names.form(of: user, for: .serverLookup))]]
        if options.authenticateIn {
            rows.append([
                "name", "local authentication", Printable.text(names.form(of: user, for: .localAuthentication)),
            ])
        }
        let route = await router.route(user, names: names, source: source, destination: destination)
        rows += trace.lookups.map(row)
        switch route {
        case .found(let place, let name):
            let login = options.usernameFromDatabase ? place.user ?? name : name
            rows.append(["name", "remote login", Printable.text(names.form(of: login, for: .remoteLogin))])
            return Way(rows: rows, place: place)
        case .none: rows.append(["result", "refused", Refusal.noServer.reason])
        case .unavailable(let reason):
            rows.append(["result", "refused", "\(Refusal.mapUnavailable.reason): \(Printable.text(reason.utf8))"])
        }
        return Way(rows: rows)
    }

    /// What was looked up, in which map, and what came of it.
    private func row(_ lookup: RouteTrace.Lookup) -> [String] {
        let map = lookup.map ?? "popmap"
        // A way that comes upon the same question finds the answer in memory only because of this very request.
        let question = Array(map.utf8) + [0] + lookup.key
        let isKnown = sources[question] ?? lookup.isKnown
        sources[question] = isKnown
        let source = isKnown ? "from memory" : "asked"
        let result =
            switch lookup.reply {
            case .found(let value, let isOld):
                "\(Printable.text(value)) (\(isOld ? "old, as the map cannot be asked" : source))"
            case .absent(let isOld, let doubt):
                "not there (\(isOld ? "old, as the map cannot be asked" : source)\(doubt == nil ? "" : ", too old to count"))"
            case .unavailable(let reason): "cannot tell: \(Printable.text(reason.utf8))"
            }
        return ["map", "\(map) \(Printable.text(lookup.key))", result]
    }
}
