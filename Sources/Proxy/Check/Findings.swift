/// What a check has found, a line each.
struct Findings {
    /// In the order they were found.
    private(set) var lines: [String] = []
    /// How many keep the program from serving.
    private(set) var errors = 0
    /// How many are to be looked after.
    private(set) var warnings = 0

    /// What keeps the program, or a part of its users, from being served.
    mutating func error(_ text: String) {
        add("error: \(text)", to: \.errors)
    }

    /// What is to be looked after.
    mutating func warning(_ text: String) {
        add("warning: \(text)", to: \.warnings)
    }

    private mutating func add(_ line: String, to count: WritableKeyPath<Findings, Int>) {
        // Two checks may come upon one cause.
        guard !lines.contains(line) else { return }
        lines.append(line.split(separator: "\n").joined(separator: "; "))
        self[keyPath: count] += 1
    }

    /// All of it, with the sum at the end.
    var text: String {
        let sum =
            errors + warnings == 0
            ? "all is well" : "\(Self.count(errors, "error")), \(Self.count(warnings, "warning"))"
        return (lines + ["perdition: \(sum)"]).joined(separator: "\n") + "\n"
    }

    private static func count(_ number: Int, _ what: String) -> String {
        "\(number == 0 ? "no" : String(number)) \(what)\(number == 1 ? "" : "s")"
    }

    /// The exit status: 255, as for everything that keeps the program from starting, where there are errors, 1 where there
    /// are warnings, else 0.
    var status: Int32 { errors > 0 ? Perdition.failure : warnings > 0 ? 1 : 0 }
}
