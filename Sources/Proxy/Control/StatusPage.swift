/// The same for a person with a browser: one page without a script and without anything from elsewhere.
struct StatusPage {
    /// The page.
    private(set) var text = ""

    /// That of now.
    init(_ services: Services, _ ledger: Ledger) {
        let sums = ledger.sums()
        func sum(_ counter: Tally.Counter) -> UInt64 { sums[Tally.place(counter)] }
        let logins = Tally.outcomes.enumerated().map { number, outcome in
            (outcome, ProtocolName.allCases.reduce(UInt64(0)) { $0 &+ sums[Tally.place($1.number, outcome: number)] })
        }
        let workers = ledger.workers
        let programs = ledger.programs
        let isWell = programs.allSatisfy(\.isUp) && workers.contains { $0.state == .serving }
        let (word, kind) =
            ledger[.draining] == 1 ? ("draining", "warn") : isWell ? ("serving", "good") : ("trouble", "bad")
        let name = Self.escaped(services.options.programName)
        text += """
            <!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
            <meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
            <title>\(name): \(word)</title><style>\(Self.style)</style></head><body><header><h1>\(name)</h1>
            <span class="state \(kind)">\(word)</span></header><main><section class="cards">
            """
        card("Sessions", sum(.relaying))
        card("Logging in", sum(.loggingIn))
        card("Logins", logins[0].1)
        card("Logins that failed", logins.dropFirst().reduce(0) { $0 &+ $1.1 })
        card("From clients", Self.size(sum(.received)))
        card("To clients", Self.size(sum(.sent)))
        text += "</section>"
        table(
            "Time, at most", ["", "half", "95 %", "count"],
            [("Lookup", Tally.Time.lookup), ("Connect", .connect), ("Login", .login)].map { label, time in
                let parts = (0...Tally.bounds.count).map { sums[Tally.place(time, part: $0)] }
                return [label, Self.quantile(parts, 50), Self.quantile(parts, 95), "\(parts.reduce(0, &+))"]
            })
        table(
            "Logins by outcome", ["outcome", "count"],
            logins.filter { $0.1 > 0 || $0.0 == "ok" }.map { [$0.0.replacing("_", with: " "), "\($0.1)"] })
        table(
            "Lookups", ["outcome", "count"],
            [
                ("found", sum(.found)), ("not there", sum(.absent)), ("map could not tell", sum(.unavailable)),
                ("from memory", sum(.fresh)), ("from memory, map away", sum(.stale)),
            ].map { [$0.0, "\($0.1)"] })
        table(
            "TLS", ["version", "clients", "real servers"],
            Tally.versions.enumerated().map { number, version in
                [
                    version, "\(sums[Tally.place(version: number, isServer: false)])",
                    "\(sums[Tally.place(version: number, isServer: true)])",
                ]
            })
        table(
            "Workers", ["process", "state", "sessions", "since"],
            workers.map { worker in
                let own = ledger.sums(of: worker.block)
                return [
                    "\(worker.pid)", "\(worker.state)", "\(own[Tally.place(.relaying)])",
                    String(WallTime.text(worker.since).dropFirst(5).prefix(11)),
                ]
            })
        if !programs.isEmpty {
            table(
                "Providers and helpers", ["program", "state", "restarts"],
                programs.map { [$0.name, $0.isUp ? "up" : "down", "\($0.restarts)"] })
        }
        text += """
            </main><footer>perdition \(Version.text), up since \(WallTime.text(ledger[.started])), configuration of
            \(WallTime.text(ledger[.configured])). Reloads: \(ledger[.reloads]), refused: \(ledger[.refusals]). Crashes of
            workers: \(ledger[.workerCrashes]). For programs: <a href="/metrics">/metrics</a></footer></body></html>

            """
    }

    private mutating func card(_ label: String, _ value: some CustomStringConvertible) {
        text += "<div class=\"card\"><b>\(value)</b><span>\(label)</span></div>"
    }

    private mutating func table(_ title: String, _ head: [String], _ rows: [[String]]) {
        text += "<section><h2>\(title)</h2><table><tr>"
        for cell in head { text += "<th>\(cell)</th>" }
        text += "</tr>"
        for row in rows { text += "<tr>" + row.map { "<td>\(Self.escaped($0))</td>" }.joined() + "</tr>" }
        text += "</table></section>"
    }

    /// Within which bound so many of a hundred are.
    static func quantile(_ parts: [UInt64], _ percent: UInt64) -> String {
        let count = parts.reduce(0, &+)
        guard count > 0 else { return "-" }
        var seen: UInt64 = 0
        for (part, number) in parts.enumerated() {
            seen &+= number
            guard seen.multipliedReportingOverflow(by: 100).partialValue >= count &* percent else { continue }
            guard part < Tally.bounds.count else { break }
            let bound = Tally.bounds[part]
            return bound < 1_000 ? "0.5 ms" : bound < 1_000_000 ? milliseconds(bound) : "\(Metrics.seconds(bound)) s"
        }
        return "more than 30 s"
    }

    private static func milliseconds(_ bound: UInt64) -> String {
        bound % 1_000 == 0 ? "\(bound / 1_000) ms" : "\(bound / 1_000).\(bound % 1_000 / 100) ms"
    }

    /// Bytes in a unit a person reads.
    static func size(_ bytes: UInt64) -> String {
        var (value, unit) = (bytes, 0)
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        while value >= 10_240, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        return "\(value) \(units[unit])"
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    private static let style = """
        :root{--bg:#f6f7f9;--fg:#1c2430;--dim:#5c6675;--box:#fff;--line:#dfe3e8;--good:#1a7f4b;--warn:#9a6700;--bad:#b42318}
        @media(prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e6eaf0;--dim:#94a0b0;--box:#1b212a;--line:#2c3541;
        --good:#3fb97f;--warn:#d9a633;--bad:#f0695e}}
        *{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
        header,main,footer{max-width:70rem;margin:0 auto;padding:1rem 1.25rem}header{display:flex;align-items:center;gap:1rem}
        h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:0 0 .5rem}.state{padding:.1rem .7rem;border-radius:1rem;
        color:#fff;font-size:.85rem}.good{background:var(--good)}.warn{background:var(--warn)}.bad{background:var(--bad)}
        main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(21rem,1fr))}
        section{background:var(--box);border:1px solid var(--line);border-radius:.6rem;padding:1rem;overflow-x:auto}
        .cards{grid-column:1/-1;display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr))}
        .card b{display:block;font-size:1.6rem;font-variant-numeric:tabular-nums}.card span{color:var(--dim)}
        table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}th{color:var(--dim);font-weight:500}
        th,td{text-align:right;padding:.25rem .4rem;border-top:1px solid var(--line);white-space:nowrap}
        th:first-child,td:first-child{text-align:left}tr:first-child th{border:0}footer{color:var(--dim);font-size:.85rem}
        a{color:inherit}
        """
}
