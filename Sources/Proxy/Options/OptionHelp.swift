/// The text of `--help`.
enum OptionHelp {
    static func text(_ list: [OptionDeclaration]) -> String {
        var text = """
            perdition, a POP3, IMAP4 and ManageSieve proxy

            Usage: perdition [options]

            A value is given as -t 60, -t60, -t=60, --timeout 60 or --timeout=60.
            perdition(8) tells more.

            """
        for section in OptionDeclaration.Section.allCases {
            text += "\n\(section.rawValue):\n"
            for option in list where option.section == section {
                text += " \(option.usage)\n"
                for line in wrap(describe(option), width: 74) { text += "    \(line)\n" }
            }
        }
        return text
    }

    /// Help, default and what else there is to know, as one paragraph.
    static func describe(_ option: OptionDeclaration) -> String {
        var text = option.help
        if let value = option.defaultText { text += " (default \(value))" }
        if let replacement = option.replacement { text += " Deprecated: use \(replacement)." }
        return text
    }

    /// `text` in lines of at most `width` characters, broken at single blanks; longer words stay whole.
    static func wrap(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = String(word)
            } else {
                line += line.isEmpty ? String(word) : " \(word)"
            }
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }
}
