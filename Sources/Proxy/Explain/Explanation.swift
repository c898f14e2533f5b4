import Daemon
import Glibc
import Lookup
import Loop
import TLS

/// `--explain`: the way of one user's login, step by step, and where each step comes from.
///
/// It goes the way of a session, with the same router, maps and resolver, and logs nobody in.
struct Explanation: Sendable {
    /// What becomes of the user; the exit status.
    enum Verdict: Int32, Sendable {
        /// There is a real server, and with `--connect` it can be talked to.
        case found = 0
        /// There is none for this user.
        case notFound = 1
        /// Nobody can tell now.
        case unknown = 2
        /// There is one, and it cannot be talked to.
        case unreachable = 3
    }

    /// As the user would type it.
    let user: String
    /// `--connect`.
    let connects: Bool
    let options: Options
    /// Where what is found is written down.
    let table = Outcome(Table())
    let resolver: Resolver
    private let settings: Settings

    /// Explains, and prints.
    /// - Returns: the exit status.
    /// - Throws: where a provider cannot be started.
    static func run(_ options: Options, user: String, connects: Bool, directory: String) throws(Master.Failure) -> Int32
    {
        let explanation = Explanation(options, user: user, connects: connects)
        let (text, verdict) = try explanation.text(directory: directory)
        print(text, terminator: "")
        return verdict.rawValue
    }

    init(_ options: Options, user: String, connects: Bool) {
        self.options = options
        self.user = user
        self.connects = connects
        resolver = Resolver(threads: options.resolverThreads)
        settings = Settings(options)
    }

    /// Everything, and what it comes to.
    func text(directory: String) throws(Master.Failure) -> (String, Verdict) {
        var providers = OwnProviders()
        defer { providers.end() }
        let verdict = Outcome(Verdict.unknown)
        do {
            let identity = geteuid() == 0 ? try Identity(user: options.username, group: options.group) : nil
            var quiet = options
            quiet.logFacility = "/dev/null"
            quiet.debug = false
            let maps = try MapList(options).entries
            for map in maps { try providers.add(map, quiet, directory: directory, identity: identity) }
            let tls = connects ? try TLSContexts.outgoing(options) : nil
            let sockets = providers.sockets
            try Errand.run { loop in
                let route = await explain(maps, sockets, on: loop.thread)
                var result = route.verdict
                if let place = route.place {
                    for options in options.perListener {
                        let reached = await explain(place, route.origin, options, tls, on: loop.thread)
                        if !reached { result = .unreachable }
                    }
                }
                let end = result
                verdict.change { $0 = end }
            }
        } catch let error as any CustomStringConvertible {
            throw Master.Failure(error.description)
        } catch {
            throw Master.Failure("\(error)")
        }
        return (table.result.text, verdict.result)
    }

    func add(_ name: String, _ value: String, _ source: String = "") {
        table.change { $0.add(name, value, source) }
    }

    // MARK: Names and maps

    /// What routing came to.
    private struct Way {
        var verdict: Verdict
        var place: Destination?
        /// Who has said so.
        var origin = ""
    }

    private func explain(_ entries: [MapList.Entry], _ sockets: [String], on thread: LoopThread) async -> Way {
        let deadline = UInt64(max(options.mapTimeout, 1)) &* 1000
        let maps = zip(entries, sockets).map { entry, socket in
            LookupMap(name: entry.library, client: Client(path: socket, deadline: deadline, on: thread))
        }
        defer { for map in maps { map.client.close() } }
        let (source, destination) = addresses
        let name = Array(user.utf8)
        let domain = await UserName.domain(options, of: destination, resolver)
        let names = settings.names.adding(domain)
        add("user", Printable.text(name), "as given; \(source) to \(destination)")
        addForm("  looked up", name, names, .serverLookup, "servername_lookup")
        if options.authenticateIn {
            addForm("  for PAM", name, names, .localAuthentication, "local_authentication")
        } else {
            add("  for PAM", "-", "no --authenticate_in")
        }
        let trace = RouteTrace()
        let router = Router(options, maps: maps, turn: 0, trace: trace)
        let route = await router.route(name, names: names, source: source, destination: destination)
        addLookups(trace, entries)
        switch route {
        case .found(let place, let login):
            let origin: String
            if trace.lookups.contains(where: { if case .found = $0.reply { true } else { false } }) {
                origin = "the map"
            } else if options.clientServerSpecification, login != name {
                origin = "the user's own words, --client_server_specification"
            } else {
                origin = "--outgoing_server"
            }
            let given = options.usernameFromDatabase ? place.user : nil
            addForm(
                "  for the real server", given ?? login, names, .remoteLogin, "remote_login",
                given == nil ? nil : "the map, --username_from_database")
            return Way(verdict: .found, place: place, origin: origin)
        case .none(let login):
            addForm("  for the real server", login, names, .remoteLogin, "remote_login")
            add("real server", "none: the user is refused", "neither a map nor --outgoing_server has one")
            return Way(verdict: .notFound)
        case .unavailable(let reason):
            add("real server", "cannot be told now", Printable.text(reason.utf8))
            return Way(verdict: .unknown)
        }
    }

    /// A connection that might be: from this machine to the first address that is listened on.
    private var addresses: (source: SocketAddress, destination: SocketAddress) {
        let first = options.perListener[0]
        let host = options.listen.first?.host ?? (options.listen.isEmpty ? options.bindAddress.first?.host : nil)
        let port =
            options.listen.first?.port
            ?? (options.listen.isEmpty ? options.bindAddress.first?.port ?? options.listenPort : nil)
        let number = port.flatMap { UInt16($0) } ?? first.protocolName.defaultPort
        let home = SocketAddress.loopback
        var destination = host.flatMap { SocketAddress(host: $0, port: number) } ?? home
        destination.port = number
        return (home, destination)
    }

    private func addForm(
        _ label: String, _ name: [UInt8], _ names: UserName, _ stage: Stages, _ state: String, _ origin: String? = nil
    ) {
        let changes = [
            (options.stripDomain, "--strip_domain"), (options.addDomain, "--add_domain"),
            (options.lowerCase, "--lower_case"),
        ].filter { $0.0.contains(stage) }.map { "\($0.1) \(state)" }
        let sources = [origin].compactMap(\.self) + changes
        add(
            label, Printable.text(names.form(of: name, for: stage)),
            sources.isEmpty ? "as given" : sources.joined(separator: ", "))
    }

    private func addLookups(_ trace: RouteTrace, _ entries: [MapList.Entry]) {
        if entries.isEmpty { return add("lookup", "-", "--map_library is empty") }
        if trace.lookups.isEmpty { return add("lookup", "-", "not needed") }
        for lookup in trace.lookups {
            let answer =
                switch lookup.reply {
                case .found(let value, _): Printable.text(value)
                case .absent: "not there"
                case .unavailable(let reason): "cannot tell: \(Printable.text(reason.utf8))"
                }
            add(
                "lookup of \(Printable.text(lookup.key))", answer,
                "--map_library \(lookup.map ?? "")\(options.queryKey.isEmpty ? "" : ", --query_key")")
        }
    }
}

extension SocketAddress {
    /// This machine, for what needs an address and has no connection.
    static var loopback: SocketAddress {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                SocketAddress($0, length: socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
