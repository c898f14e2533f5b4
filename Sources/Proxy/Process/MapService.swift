import Logging
import Lookup
import Loop
import Synchronization

/// One map as a worker asks it.
struct MapService: Sendable {
    /// Milliseconds between two lines about the same silence.
    private static let complaintInterval: UInt64 = 60_000

    /// Its element of `--map_library`, where there are several; for the log.
    let name: String?
    /// The Unix socket of its provider.
    let socket: String
    /// Signs of life of its provider.
    let pulse: Pulse
    /// Its tables; nil for a map that has none.
    let tables: TableKeeper?
    /// What it said before; nil where nothing is to be remembered.
    let memory: MapMemory?
    /// Told while old answers are in use.
    let notice: Notice

    /// Forgets what it said.
    /// - Returns: how many answers there were to give without it; a table has all that were remembered.
    @discardableResult
    func purge() -> Int {
        let remembered = memory?.count ?? 0
        memory?.purge()
        return max(remembered, tables?.forget() ?? 0)
    }

    /// Milliseconds a provider gets for one lookup: so few of `--map_timeout` that it has always answered something
    /// before it counts as stuck.
    static func lookupTime(_ options: Options) -> UInt64 { UInt64(max(options.mapTimeout, 1)) &* 400 }

    /// Milliseconds without an answer after which a provider counts as stuck: so few of `--map_timeout` that another one
    /// can be started and answer in what is left.
    static func patience(_ options: Options) -> UInt64 { UInt64(max(options.mapTimeout, 1)) &* 600 }

    /// The maps of the options, on these sockets.
    /// - Parameter watch: the descriptor where the master hears of stuck providers; nil for nobody.
    static func all(_ options: Options, sockets: [String], watch: Int32?, log: Logger) -> [MapService] {
        let entries = (try? MapList(options).entries) ?? []
        let patience = patience(options)
        return zip(entries, sockets).enumerated().map { number, map in
            let (entry, socket) = map
            let pulse: Pulse
            if entry.takesOptions, let watch {
                pulse = Pulse(patience: patience) { lastAnswer in
                    StuckReport(map: UInt64(number), lastAnswer: lastAnswer).send(to: watch)
                }
            } else {
                pulse = complaining("Popmap: \(entry.library) has not answered for \(patience) ms", patience, log)
            }
            return MapService(
                name: entries.count > 1 ? entry.library : nil, socket: socket, pulse: pulse,
                tables: hasTables(entry, options) ? TableKeeper(path: socket) : nil,
                // One session has nothing to remember for.
                memory: options.inetdMode ? nil : MapMemory.Policy(options).map { MapMemory($0) },
                notice: Notice(log))
        }
    }

    /// Whether to ask for tables: those of a file that the provider and its worker see by the same path.
    private static func hasTables(_ entry: MapList.Entry, _ options: Options) -> Bool {
        // One session has no use for all entries.
        guard entry.takesOptions, !options.inetdMode, let name = MapProvider.shortName(entry.library) else {
            return false
        }
        return ["gdbm", "bdb"].contains(name)
    }

    /// For a provider that is not ours to end.
    private static func complaining(_ text: String, _ patience: UInt64, _ log: Logger) -> Pulse {
        let next = Mutex<UInt64>(0)
        return Pulse(patience: patience) { _ in
            let now = LoopThread.clock()
            let isDue = next.withLock { next in
                guard next <= now else { return false }
                next = now &+ complaintInterval
                return true
            }
            if isDue { log.error("\(text)") }
        }
    }
}
