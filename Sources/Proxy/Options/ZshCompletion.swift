/// The completions of zsh(1): a function for its `fpath`.
enum ZshCompletion {
    static func script(_ list: [OptionDeclaration]) -> String {
        """
        #compdef \(ShellCompletion.programs.joined(separator: " "))
        # zsh completion of perdition: made by perdition --completion zsh.
        _arguments -s \\
        \(list.map { "    \(line($0))" }.joined(separator: " \\\n"))

        """
    }

    /// One argument of _arguments (zshcompsys(1)).
    private static func line(_ option: OptionDeclaration) -> String {
        let value = ShellCompletion.value(of: option)
        let long = value == .none ? "--\(option.name)" : "--\(option.name)="
        let tail = quoted("[\(bracketed(ShellCompletion.summary(option)))]\(action(value, option))")
        let again = option.kind.accumulates ? "'*'" : nil
        guard let letter = option.letter else { return (again ?? "") + long + tail }
        let short = value == .none ? "-\(letter)" : "-\(letter)+"
        return (again ?? "'(-\(letter) --\(option.name))'") + "{\(short),\(long)}" + tail
    }

    private static func action(_ value: ShellCompletion.Value, _ option: OptionDeclaration) -> String {
        // A colon or a bracket would end the name.
        let name = option.kind.valueName?.prefix { $0.isLetter } ?? ""
        return switch value {
        case .none: ""
        case .word(let words): ":\(name):(\(words.joined(separator: " ")))"
        case .list(let words): ":\(name):_values -s , \(name) \(words.joined(separator: " "))"
        case .file: ":\(name):_files"
        case .directory: ":\(name):_files -/"
        case .user: ":\(name):_users"
        case .group: ":\(name):_groups"
        case .free: ":\(name): "
        }
    }

    private static func bracketed(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            if "[]\\".contains(character) { result.append("\\") }
            result.append(character)
        }
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.reduce(into: "") { $0 += $1 == "'" ? "'\\''" : "\($1)" } + "'"
    }
}
