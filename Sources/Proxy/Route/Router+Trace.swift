import Control
import Loop

extension Router {
    /// Goes the way of a user's login and says what is met on it: names, keys, maps and their answers, the real server.
    ///
    /// It starts from no connection: addresses and ports in query keys are 0.0.0.0 and 0. It asks as a login does, and
    /// what a map answers is remembered as after one.
    static func trace(_ user: [UInt8], _ services: Services, maps: [LookupMap]) async -> ControlAnswer {
        let trace = RouteTrace()
        let router = Router(services.options, maps: maps, turn: 0, trace: trace)
        var rows: [[String]] = []
        guard let nowhere = SocketAddress(host: "0.0.0.0", port: 0) else { return ControlAnswer(error: "no address") }
        let options = services.options
        let domain = options.addDomain.isEmpty ? nil : options.explicitDomain.map { Array($0.utf8) }
        let names = services.settings.names.adding(domain)
        rows.append(["name", "looked up", Printable.text(names.form(of: user, for: .serverLookup))])
        if options.authenticateIn {
            rows.append([
                "name", "local authentication", Printable.text(names.form(of: user, for: .localAuthentication)),
            ])
        }
        let way = await router.route(user, names: names, source: nowhere, destination: nowhere)
        rows += trace.lookups.map(\.row)
        switch way {
        case .found(var place, let name):
            let login = options.usernameFromDatabase ? place.user ?? name : name
            rows.append(["name", "remote login", Printable.text(names.form(of: login, for: .remoteLogin))])
            repeat {
                rows.append(await row(of: place, services))
            } while place.advance()
        case .none: rows.append(["result", "refused", Refusal.noServer.reason])
        case .unavailable(let reason):
            rows.append(["result", "refused", "\(Refusal.mapUnavailable.reason): \(Printable.text(reason.utf8))"])
        }
        return ControlAnswer(columns: ["step", "what", "result"], rows: rows)
    }

    private static func row(of place: Destination, _ services: Services) async -> [String] {
        let options = services.options
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

extension RouteTrace.Lookup {
    /// What it is, of what, and what came of it.
    fileprivate var row: [String] {
        let source = isKnown ? "from memory" : "asked"
        let result =
            switch reply {
            case .found(let value, let isOld):
                "\(Printable.text(value)) (\(isOld ? "old, as the map cannot be asked" : source))"
            case .absent(let isOld, let doubt):
                "not there (\(isOld ? "old, as the map cannot be asked" : source)\(doubt == nil ? "" : ", too old to count"))"
            case .unavailable(let reason): "cannot tell: \(Printable.text(reason.utf8))"
            }
        return ["map", "\(map ?? "popmap") \(Printable.text(key))", result]
    }
}
