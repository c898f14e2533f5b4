/// The command line taken apart into options and values, by the rules of popt(3), which the C perdition used and which
/// init scripts rely on. swift-argument-parser cannot stand in: it is driven by declarations in source rather than by
/// a table, takes no `-O=value`, and refuses a value that looks like an option.
struct CommandLineWords {
    /// One option as it was given.
    struct Word {
        let option: OptionDeclaration
        let value: String
        /// The argument its value stands in, and how many bytes of that come ahead of it.
        let place: Place
    }

    /// Where a value begins.
    struct Place: Equatable {
        let argument: Int
        let offset: Int
    }

    /// In the order they were given.
    private(set) var words: [Word] = []
    private let list: [OptionDeclaration]
    private var rest: ArraySlice<String>

    /// Takes `arguments`, without argv[0], apart. Throws for unknown options, missing and surplus values, and words
    /// that belong to no option.
    init(_ arguments: ArraySlice<String>, list: [OptionDeclaration]) throws(OptionError) {
        self.init(list: list, rest: arguments)
        try takeAll()
    }

    private init(list: [OptionDeclaration], rest: ArraySlice<String>) {
        self.list = list
        self.rest = rest
    }

    /// Where the values stand that nobody else is to see; as far as the arguments make sense.
    static func secrets(in arguments: ArraySlice<String>, list: [OptionDeclaration]) -> [Place] {
        asFarAsPossible(arguments, list: list).words.filter(\.option.kind.isSecret).map(\.place)
    }

    /// The words up to the first that makes no sense, and what is wrong with that.
    static func asFarAsPossible(
        _ arguments: ArraySlice<String>, list: [OptionDeclaration]
    ) -> (words: [Word], fault: OptionError?) {
        var words = CommandLineWords(list: list, rest: arguments)
        do throws(OptionError) {
            try words.takeAll()
        } catch {
            return (words.words, error)
        }
        return (words.words, nil)
    }

    private mutating func takeAll() throws(OptionError) {
        while let argument = rest.popFirst() {
            if argument == "--" {
                if let stray = rest.first { throw surplus(stray) }
                return
            }
            if argument.hasPrefix("--") {
                try takeLong(argument)
            } else if argument.hasPrefix("-"), argument != "-" {
                try takeLetters(argument)
            } else {
                throw surplus(argument)
            }
        }
    }

    /// A word behind a secret may be more of it that was meant to be in quotes.
    private func surplus(_ word: String) -> OptionError {
        let isSecret = words.contains(where: \.option.kind.isSecret)
        return OptionError("options: trailing argument: \(isSecret ? MapOptionMask.mark : word)")
    }

    /// The argument taken last.
    private var current: Int { rest.startIndex - 1 }

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
            words.append(Word(option: option, value: "", place: Place(argument: current, offset: argument.utf8.count)))
            return
        }
        let text = if let value { String(value) } else { try next(for: "--\(name)") }
        let offset = value == nil ? 0 : argument.utf8.count - text.utf8.count
        words.append(Word(option: option, value: text, place: Place(argument: current, offset: offset)))
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
                words.append(
                    Word(option: option, value: "", place: Place(argument: current, offset: argument.utf8.count)))
                continue
            }
            let isJoined = !letters.isEmpty
            if letters.first == "=" { letters.removeFirst() }
            let value = isJoined ? String(letters) : try next(for: "-\(letter)")
            let offset = isJoined ? argument.utf8.count - value.utf8.count : 0
            words.append(Word(option: option, value: value, place: Place(argument: current, offset: offset)))
            return
        }
    }

    /// The element behind an option is its value whatever it looks like.
    private mutating func next(for option: String) throws(OptionError) -> String {
        guard let value = rest.popFirst() else { throw OptionError("options: \(option): missing argument") }
        return value
    }
}
