/// The counters as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.
struct Metrics {
    /// The text.
    private(set) var text = ""
    private let isOpen: Bool

    /// The type of the text over HTTP.
    var type: String {
        isOpen
            ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8"
    }

    /// Those of now.
    /// - Parameter isOpen: whether as OpenMetrics.
    init(_ services: Services, _ ledger: Ledger, isOpen: Bool) {
        self.isOpen = isOpen
        let sums = ledger.sums()
        func sum(_ counter: Tally.Counter) -> UInt64 { sums[Tally.place(counter)] }

        gauge(
            "build_info", "The version that runs.",
            [(#"{version="\#(Version.text)",name="\#(Self.label(services.options.programName))"}"#, 1)])
        gauge("start_time_seconds", "When the program was started, since 1970.", [("", ledger[.started])])
        gauge(
            "config_time_seconds", "When the configuration in force was taken, since 1970.", [("", ledger[.configured])]
        )
        gauge("draining", "Whether nobody is accepted any more.", [("", ledger[.draining])])
        let workers = ledger.workers
        gauge(
            "workers", "Worker generations, by state.",
            [Ledger.State.serving, .leaving].map { state in
                (#"{state="\#(state)"}"#, UInt64(workers.count { $0.state == state }))
            })
        counter("worker_starts", "Workers that were started.", [("", ledger[.workerStarts])])
        counter("worker_crashes", "Workers that ended by themselves.", [("", ledger[.workerCrashes])])
        counter(
            "reloads", "Reloads, by what came of them.",
            [(#"{result="done"}"#, ledger[.reloads]), (#"{result="refused"}"#, ledger[.refusals])])
        gauge(
            "sessions", "Connections of clients, by state.",
            [(#"{state="logging_in"}"#, sum(.loggingIn)), (#"{state="relaying"}"#, sum(.relaying))])
        counter("connections", "Connections that were accepted.", [("", sum(.connections))])
        counter("turned_away", "Connections that were turned away for a limit.", [("", sum(.turnedAway))])
        counter("abandoned", "Connections that ended before a login.", [("", sum(.abandoned))])
        counter("kicked", "Sessions that perditionctl has ended.", [("", sum(.kicked))])
        counter(
            "logins", "Logins, by protocol and outcome.",
            ProtocolName.allCases.flatMap { name in
                Tally.outcomes.enumerated().map { number, outcome in
                    (
                        #"{protocol="\#(name.fileName)",outcome="\#(outcome)"}"#,
                        sums[Tally.place(name.number, outcome: number)]
                    )
                }
            })
        counter(
            "relayed_bytes", "Bytes passed on, by direction.",
            [(#"{direction="from_client"}"#, sum(.received)), (#"{direction="to_client"}"#, sum(.sent))])
        counter(
            "tls_sessions", "Sessions that logged in, by side and version of TLS.",
            ["client", "server"].flatMap { side in
                Tally.versions.enumerated().map { number, version in
                    (
                        #"{side="\#(side)",version="\#(version)"}"#,
                        sums[Tally.place(version: number, isServer: side == "server")]
                    )
                }
            })
        counter("tls_handshake_failures", "TLS handshakes with clients that failed.", [("", sum(.handshakeFailures))])
        counter(
            "lookups", "Lookups in maps, by outcome; fresh and stale are answers from memory.",
            [Tally.Counter.found, .absent, .unavailable, .fresh, .stale].map {
                (#"{outcome="\#(Statistics.name($0))"}"#, sum($0))
            })
        gauge(
            "map_cache_answers", "Answers of maps that the serving worker keeps.",
            services.maps.enumerated().compactMap { number, map in
                map.memory.map { (#"{map="\#(number + 1)"}"#, UInt64($0.count)) }
            })
        let programs = ledger.programs
        gauge(
            "provider_up", "Whether a map provider or helper runs.",
            programs.map { (#"{provider="\#(Self.label($0.name))"}"#, $0.isUp ? 1 : 0) })
        counter(
            "provider_restarts", "How often it was started again.",
            programs.map { (#"{provider="\#(Self.label($0.name))"}"#, $0.restarts) })
        histogram("lookup_seconds", "From name and password to the name of the real server.", .lookup, sums)
        histogram("connect_seconds", "How long a connection to the real server took.", .connect, sums)
        histogram("login_seconds", "From name and password to the client's good news.", .login, sums)
        if isOpen { text += "# EOF\n" }
    }

    private mutating func head(_ name: String, _ kind: String, _ help: String) {
        text += "# HELP perdition_\(name) \(help)\n# TYPE perdition_\(name) \(kind)\n"
    }

    private mutating func gauge(_ name: String, _ help: String, _ samples: [(String, UInt64)]) {
        guard !samples.isEmpty else { return }
        head(name, "gauge", help)
        for (labels, value) in samples { text += "perdition_\(name)\(labels) \(value)\n" }
    }

    private mutating func counter(_ name: String, _ help: String, _ samples: [(String, UInt64)]) {
        guard !samples.isEmpty else { return }
        head(isOpen ? name : "\(name)_total", "counter", help)
        for (labels, value) in samples { text += "perdition_\(name)_total\(labels) \(value)\n" }
    }

    private mutating func histogram(_ name: String, _ help: String, _ time: Tally.Time, _ sums: [UInt64]) {
        head(name, "histogram", help)
        var count: UInt64 = 0
        for part in 0...Tally.bounds.count {
            count &+= sums[Tally.place(time, part: part)]
            let bound = part < Tally.bounds.count ? Self.seconds(Tally.bounds[part]) : "+Inf"
            text += "perdition_\(name)_bucket{le=\"\(bound)\"} \(count)\n"
        }
        let sum = sums[Tally.place(time, part: Tally.bounds.count + 1)]
        text += "perdition_\(name)_sum \(Self.seconds(sum))\nperdition_\(name)_count \(count)\n"
    }

    /// Microseconds as seconds, in decimal and without what says nothing.
    static func seconds(_ microseconds: UInt64) -> String {
        var digits = String(microseconds % 1_000_000)
        digits = String(repeating: "0", count: 6 - digits.count) + digits
        while digits.count > 1, digits.last == "0" { digits.removeLast() }
        return "\(microseconds / 1_000_000).\(digits)"
    }

    private static func label(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
