/// Rows of three columns for a terminal: what it is, what came of it, and which option it comes from.
struct Table {
    /// Characters of a column that make all others as wide; longer ones stand alone.
    private static let widths = [34, 44]

    private var rows: [[String]] = []

    /// Adds a row.
    /// - Parameters:
    ///   - name: what it is; two blanks ahead make it a part of the row above.
    ///   - value: what came of it.
    ///   - source: the option it comes from, or another reason.
    mutating func add(_ name: String, _ value: String, _ source: String = "") {
        rows.append([name, value, source])
    }

    /// Adds a line between two parts.
    mutating func addGap() { rows.append([]) }

    /// All rows, their columns one below the other.
    var text: String {
        let widths = Self.widths.indices.map { column in
            rows.filter { $0.count > column }.map { $0[column].count }.filter { $0 <= Self.widths[column] }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            for (column, text) in row.enumerated() where !text.isEmpty {
                if column > 0 {
                    let start = widths[..<column].reduce(0) { $0 + $1 + 2 }
                    line += String(repeating: " ", count: max(start - line.count, 2))
                }
                line += text
            }
            return line + "\n"
        }.joined()
    }
}
