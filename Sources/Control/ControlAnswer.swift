/// What comes back over the control socket: a table, or why there is none.
///
/// As text: `OK` or `ERROR reason`, for `OK` a line of column names and a line for each row, both with tabs between; a
/// line `WARNING text` for each thing that is missing; and `END`, without which the answer is not whole.
public struct ControlAnswer: Equatable, Sendable {
    /// Why the request was not done; nil where it was.
    public var error: String?
    /// The names of the columns.
    public var columns: [String] = []
    /// The rows, each with a cell for each column; no cell is escaped.
    public var rows: [[String]] = []
    /// What the table lacks.
    public var warnings: [String] = []

    /// A table.
    public init(columns: [String], rows: [[String]] = []) {
        self.columns = columns
        self.rows = rows
    }

    /// A refusal.
    public init(error: String) {
        self.error = error
    }

    // MARK: On the wire

    /// The whole answer.
    public var text: String {
        var text = error.map { "ERROR \(ControlText.escaped($0.utf8))\n" } ?? "OK\n"
        if error == nil {
            Self.append(columns, to: &text)
            for row in rows { Self.append(row, to: &text) }
        }
        for warning in warnings { text += "WARNING \(ControlText.escaped(warning.utf8))\n" }
        return text + "END\n"
    }

    private static func append(_ cells: [String], to text: inout String) {
        var isFirst = true
        for cell in cells {
            if !isFirst { text += "\t" }
            isFirst = false
            text += ControlText.escaped(cell.utf8)
        }
        text += "\n"
    }

    /// Why something is no answer; a sentence.
    public struct Fault: Error, Equatable, CustomStringConvertible {
        /// What is wrong.
        public let description: String
    }

    /// Reads what ``text`` made.
    /// - Throws: ``Fault``, above all where the end is missing.
    public init(text: [UInt8]) throws(Fault) {
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count >= 3, lines.last?.isEmpty == true, lines[lines.count - 2].elementsEqual("END".utf8) else {
            throw Fault(description: "the answer has no end")
        }
        let status = String(decoding: lines[0], as: UTF8.self)
        var body = lines[1..<(lines.count - 2)]
        let mark = "WARNING "
        while let last = body.last, last.starts(with: mark.utf8) {
            let text = ControlText.plain(last.dropFirst(mark.utf8.count))
            warnings.insert(String(decoding: text, as: UTF8.self), at: 0)
            body = body.dropLast()
        }
        if status.hasPrefix("ERROR ") {
            error = String(decoding: ControlText.plain(Array(status.utf8.dropFirst(6))), as: UTF8.self)
            return
        }
        guard status == "OK", let head = body.popFirst() else {
            throw Fault(description: "the answer begins with neither OK nor ERROR")
        }
        columns = Self.cells(head)
        for line in body {
            let cells = Self.cells(line)
            guard cells.count == columns.count else {
                throw Fault(description: "a line has \(cells.count) cells where there are \(columns.count) columns")
            }
            rows.append(cells)
        }
    }

    private static func cells(_ line: ArraySlice<UInt8>) -> [String] {
        line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map {
            String(decoding: ControlText.plain($0), as: UTF8.self)
        }
    }
}
