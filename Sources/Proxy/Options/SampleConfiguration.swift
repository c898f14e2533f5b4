/// The configuration file that shows every option at its default, commented out: `--print_sample_configuration`.
enum SampleConfiguration {
    static func text(_ list: [OptionDeclaration]) -> String {
        var text = """
            # perdition.conf: made by perdition --print_sample_configuration.
            #
            # A line is an option's name, long or short, without dashes, and its value. What
            # takes no value stands alone on its line. The command line is stronger. Any line
            # that is not understood keeps perdition from starting.
            #
            # '...' keeps everything as it is, "..." everything but \\ and what follows it. A \\
            # outside of '...' takes the meaning from the next character; at the end of a line
            # it goes on with the next, in comments, too. A # begins a comment, even within a
            # word.

            """
        for section in OptionDeclaration.Section.allCases {
            text += "\n\n## \(section.rawValue)\n"
            for option in list
            where option.section == section && option.kind.action == .set && option.replacement == nil {
                text += "\n"
                for line in OptionHelp.wrap(comment(option), width: 86) { text += "# \(line)\n" }
                text += "#\(line(option))\n"
            }
        }
        return text
    }

    /// A comment that ends in a backslash would swallow the line behind it.
    private static func comment(_ option: OptionDeclaration) -> String {
        var text = option.help
        if let note = option.defaultNote { text += " Default: \(note)." }
        return text
    }

    /// The line that sets the default.
    static func line(_ option: OptionDeclaration) -> String {
        guard option.kind.valueName != nil else { return option.name }
        let value = option.kind.show(Options())
        return "\(option.name) \(option.kind.isNumber ? value : quote(value))"
    }

    /// `text` so that the file's grammar gives it back.
    static func quote(_ text: String) -> String {
        guard text.contains("'") else { return text.contains("\"") ? "'\(text)'" : "\"\(escape(text))\"" }
        return "\"\(escape(text))\""
    }

    private static func escape(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            if character == "\\" || character == "\"" { result.append("\\") }
            result.append(character)
        }
    }
}
