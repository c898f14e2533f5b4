/// The command line taken apart into options and values, by the rules of popt(3), which the C perdition used and which
/// init scripts rely on. swift-argument-parser cannot stand in: it is driven by declarations in source rather than by
/// a table, takes no `-O=value`, and refuses a value that looks like an option.
struct CommandLineWords {
    /// One option as it was given.
    struct Word {
        let option: OptionDeclaration
        let value: String
    }

    /// In the order they were given.
    private(set) var words: [Word] = []
    private let list: [OptionDeclaration]
    private var rest: ArraySlice<String>

    /// Takes `arguments`, without argv[0], apart. Throws for unknown options, missing and surplus values, and words
    /// that belong to no option.
    init(_ arguments: ArraySlice<String>, list: [OptionDeclaration]) throws(OptionError) {
        self.list = list
        rest = arguments
        while let argument = rest.popFirst() {
            if argument == "--" {
                if let stray = rest.first { throw OptionError("options: trailing argument: \(stray)") }
                return
            }
            if argument.hasPrefix("--") {
                try takeLong(argument)
            } else if argument.hasPrefix("-"), argument != "-" {
                try takeLetters(argument)
            } else {
                throw OptionError("options: trailing argument: \(argument)")
            }
        }
    }

    /// `--name`, `--name value` or `--name=value`.
    private mutating func takeLong(_ argument: String) throws(OptionError) {
        let body = argument.dropFirst(2)
        let sign = body.firstIndex(of: "=")
        let name = body[..<(sign ?? body.endIndex)]
        guard let option = list.first(where: { $0.name == name }) else {
            throw OptionError("options: --\(name): unknown option")
        }
        let value = sign.map { body[body.index(after: $0)...] }
        guard option.kind.valueName != nil else {
            guard value == nil else { throw OptionError("options: \(argument): option does not take an argument") }
            words.append(Word(option: option, value: ""))
            return
        }
        let text = if let value { String(value) } else { try next(for: "--\(name)") }
        words.append(Word(option: option, value: text))
    }

    /// `-x`, `-xyz`, `-xvalue`, `-x value` or `-x=value`.
    private mutating func takeLetters(_ argument: String) throws(OptionError) {
        var letters = argument.dropFirst()
        while let letter = letters.popFirst() {
            guard let option = list.first(where: { $0.letter == letter }) else {
                throw OptionError("options: \(argument): unknown option")
            }
            guard option.kind.valueName != nil else {
                if letters.first == "=" {
                    throw OptionError("options: \(argument): option does not take an argument")
                }
                words.append(Word(option: option, value: ""))
                continue
            }
            if letters.first == "=" {
                words.append(Word(option: option, value: String(letters.dropFirst())))
            } else {
                words.append(
                    Word(option: option, value: letters.isEmpty ? try next(for: "-\(letter)") : String(letters)))
            }
            return
        }
    }

    /// The element behind an option is its value whatever it looks like.
    private mutating func next(for option: String) throws(OptionError) -> String {
        guard let value = rest.popFirst() else { throw OptionError("options: \(option): missing argument") }
        return value
    }
}
