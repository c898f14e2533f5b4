/// The completions of fish(1).
enum FishCompletion {
    static func script(_ list: [OptionDeclaration]) -> String {
        """
        # fish completion of perdition: made by perdition --completion fish.
        for program in \(ShellCompletion.programs.joined(separator: " "))
            complete -c $program -f
        \(list.map { "    \(line($0))" }.joined(separator: "\n"))
        end

        """
    }

    private static func line(_ option: OptionDeclaration) -> String {
        let short = option.letter.map { " -s \($0)" } ?? ""
        let value =
            switch ShellCompletion.value(of: option) {
            case .none: ""
            case .word(let words): " -x -a \(quoted(words.joined(separator: " ")))"
            case .list(let words): " -x -a \(quoted("(__fish_append , \(words.joined(separator: " ")))"))"
            case .file: " -r -F"
            case .directory: " -x -a '(__fish_complete_directories)'"
            case .user: " -x -a '(__fish_complete_users)'"
            case .group: " -x -a '(__fish_complete_groups)'"
            case .free: " -x"
            }
        return "complete -c $program\(short) -l \(option.name)\(value) -d \(quoted(ShellCompletion.summary(option)))"
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.reduce(into: "") { result, character in
            if character == "'" || character == "\\" { result.append("\\") }
            result.append(character)
        }
        return "'\(escaped)'"
    }
}
