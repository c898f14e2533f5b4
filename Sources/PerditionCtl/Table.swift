import Control

/// An answer for people: columns that stand below each other.
enum Table {
    static func text(_ answer: ControlAnswer) -> String {
        let lines = [answer.columns.map { $0.uppercased() }] + answer.rows.map { $0.map(shown) }
        var widths = [Int](repeating: 0, count: answer.columns.count)
        for line in lines {
            for (number, cell) in line.enumerated() where number < widths.count {
                widths[number] = max(widths[number], cell.count)
            }
        }
        return lines.map { line in
            var text = ""
            for (number, cell) in line.enumerated() {
                text += cell
                // Nothing behind the last.
                guard number + 1 < line.count else { break }
                text += String(repeating: " ", count: widths[number] - cell.count + 2)
            }
            return text + "\n"
        }.joined()
    }

    /// Nothing a client calls itself moves the cursor; an empty cell is seen.
    private static func shown(_ cell: String) -> String {
        cell.isEmpty ? "-" : ControlText.escaped(cell.utf8)
    }
}

extension ControlAnswer {
    /// The numbers that workers begin their rows with, as one: `2 sessions ended`.
    func sum(of thing: String, _ done: String) -> String {
        let count = rows.reduce(0) { $0 + (Int($1.first ?? "") ?? 0) }
        return "\(count) \(thing)\(count == 1 ? "" : "s") \(done)\n"
    }
}

/// An answer for programs: an array with an object for each row; names of columns are the keys.
enum JSON {
    /// Columns that hold numbers.
    private static let numbers: Set = [
        "received", "sent", "worker", "kicked", "purged", "sessions", "logging_in",
    ]

    static func text(_ answer: ControlAnswer) -> String {
        if answer.columns == ["name", "value"] {
            let members = answer.rows.map { "  \(quoted($0[0])): \(value($0[1], isNumber: true))" }
            return "{\n\(members.joined(separator: ",\n"))\n}\n"
        }
        let objects = answer.rows.map { row in
            let members = zip(answer.columns, row).map {
                "\(quoted($0)): \(value($1, isNumber: numbers.contains($0)))"
            }
            return "  {\(members.joined(separator: ", "))}"
        }
        return objects.isEmpty ? "[]\n" : "[\n\(objects.joined(separator: ",\n"))\n]\n"
    }

    private static func value(_ text: String, isNumber: Bool) -> String {
        isNumber && UInt64(text).map(String.init) == text ? text : quoted(text)
    }

    /// RFC 8259 section 7.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
