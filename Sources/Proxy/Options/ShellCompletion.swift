import Daemon

/// What makes a shell complete the options: `--completion`.
enum ShellCompletion {
    /// A shell with completions of its own.
    enum Shell: String, CaseIterable {
        case bash, zsh, fish

        /// The file for this shell.
        func script(_ list: [OptionDeclaration]) -> String {
            switch self {
            case .bash: BashCompletion.script(list)
            case .zsh: ZshCompletion.script(list)
            case .fish: FishCompletion.script(list)
            }
        }
    }

    /// What can stand behind an option.
    enum Value: Equatable {
        /// There is no value.
        case none
        /// One of these.
        case word([String])
        /// Several of these, with commas between.
        case list([String])
        case file, directory, user, group
        /// Whatever the user means.
        case free
    }

    /// The names a perdition is started by.
    static let programs =
        ["perdition"] + ProtocolName.allCases.map { "perdition.\($0.fileName)" } + ["perdition.imaps"]

    /// What can stand behind `option`.
    static func value(of option: OptionDeclaration) -> Value {
        guard let name = option.kind.valueName else { return .none }
        let words = option.kind.words
        if !words.isEmpty { return option.kind.accumulates ? .list(words) : .word(words) }
        return switch name {
        case "FILENAME": .file
        case "DIRECTORY": .directory
        case "USER": .user
        case "GROUP": .group
        case "FACILITY": .word(LogDestination.facilityNames + ["-", "+"])
        default: .free
        }
    }

    /// What `option` does, as far as there is room beside a name: the help up to its first stop.
    static func summary(_ option: OptionDeclaration) -> String {
        var text = ""
        var rest = option.help[...]
        while let character = rest.popFirst() {
            if ".:;".contains(character), rest.isEmpty || rest.first == " " { break }
            text.append(character)
        }
        return text
    }
}
