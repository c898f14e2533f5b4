/// The completions of bash(1), for its bash-completion package or on their own.
enum BashCompletion {
    static func script(_ list: [OptionDeclaration]) -> String {
        """
        # bash completion of perdition: made by perdition --completion bash.
        _perdition() {
            local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} kind= words= ahead=
            COMPREPLY=()
            # Bash takes --name=value apart at the sign.
            if [[ $word == = ]]; then
                word=
            elif [[ $option == = ]]; then
                option=${COMP_WORDS[COMP_CWORD - 2]}
            fi
            case $option in
        \(list.compactMap(branch).joined(separator: "\n"))
            esac
            case $kind in
                word) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
                list)
                    [[ $word != *,* ]] || ahead=${word%,*},
                    COMPREPLY=($(compgen -P "$ahead" -W "$words" -- "${word##*,}"))
                    compopt -o nospace
                    ;;
                file) mapfile -t COMPREPLY < <(compgen -f -- "$word"); compopt -o filenames ;;
                directory) mapfile -t COMPREPLY < <(compgen -d -- "$word"); compopt -o filenames ;;
                user) COMPREPLY=($(compgen -u -- "$word")) ;;
                group) COMPREPLY=($(compgen -g -- "$word")) ;;
                free) ;;
                *)
                    words='\(list.map { "--\($0.name)" }.joined(separator: "\n                        "))'
                    COMPREPLY=($(compgen -W "$words" -- "$word"))
                    ;;
            esac
        }
        complete -F _perdition \(ShellCompletion.programs.joined(separator: " "))

        """
    }

    /// How the value of `option` is completed; nil where it has none.
    private static func branch(_ option: OptionDeclaration) -> String? {
        let kind: String
        switch ShellCompletion.value(of: option) {
        case .none: return nil
        case .word(let words): kind = "kind=word words='\(words.joined(separator: " "))'"
        case .list(let words): kind = "kind=list words='\(words.joined(separator: " "))'"
        case .file: kind = "kind=file"
        case .directory: kind = "kind=directory"
        case .user: kind = "kind=user"
        case .group: kind = "kind=group"
        case .free: kind = "kind=free"
        }
        let names = option.letter.map { "-\($0) | --\(option.name)" } ?? "--\(option.name)"
        return "        \(names)) \(kind) ;;"
    }
}
