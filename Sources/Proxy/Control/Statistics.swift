import Glibc
import Synchronization

/// The numbers at a glance: `perditionctl stats`.
struct Statistics {
    /// Name and value of each.
    private(set) var rows: [[String]] = []

    /// Those of now.
    init(_ services: Services, _ ledger: Ledger?) {
        add("version", Version.text)
        add("instance", services.options.programName)
        add("protocol", services.options.protocolNames)
        if !services.options.listen.isEmpty {
            add("listen", services.options.listen.map(\.description).joined(separator: " "))
        }
        guard let ledger else {
            add("counters", "none, there was no memory for them")
            return
        }
        let sums = ledger.sums()
        add("started", WallTime.text(ledger[.started]))
        add("configured", WallTime.text(ledger[.configured]))
        add("draining", ledger[.draining] == 1 ? "yes" : "no")
        add("workers_serving", ledger.workers.count { $0.state == .serving })
        add("workers_leaving", ledger.workers.count { $0.state == .leaving })
        for fact in [Ledger.Fact.workerStarts, .workerCrashes, .reloads, .refusals] {
            add(Self.name(fact), ledger[fact])
        }
        add("sessions", sums[Tally.place(.relaying)])
        add("logging_in", sums[Tally.place(.loggingIn)])
        for counter in Tally.Counter.allCases where !Tally.states.contains(counter.rawValue) {
            add(Self.name(counter), sums[Tally.place(counter)])
        }
        for (number, outcome) in Tally.outcomes.enumerated() {
            let count = ProtocolName.allCases.reduce(UInt64(0)) {
                $0 &+ sums[Tally.place($1.number, outcome: number)]
            }
            add("logins_\(outcome)", count)
        }
        addLogins(services.options, sums)
        for map in services.maps {
            if let memory = map.memory { add("map_answers_kept\(map.name.map { "_\($0)" } ?? "")", memory.count) }
        }
        for program in ledger.programs {
            add(program.name, "\(program.isUp ? "up" : "down"), restarted \(program.restarts) times")
        }
    }

    /// Logins by protocol, where there are several.
    private mutating func addLogins(_ options: Options, _ sums: [UInt64]) {
        let served = Set(options.perListener.map(\.protocolName))
        guard served.count > 1 else { return }
        for name in ProtocolName.allCases where served.contains(name) {
            let counts = Tally.outcomes.indices.map { sums[Tally.place(name.number, outcome: $0)] }
            add("logins_ok_\(name.fileName)", counts[0])
            add("logins_failed_\(name.fileName)", counts.dropFirst().reduce(0, &+))
        }
    }

    private mutating func add(_ name: String, _ value: some CustomStringConvertible) {
        rows.append([name, value.description])
    }

    /// The name of a counter as it stands in answers: `turned_away` of `turnedAway`.
    static func name(_ value: some Any) -> String {
        "\(value)".reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
    }
}
