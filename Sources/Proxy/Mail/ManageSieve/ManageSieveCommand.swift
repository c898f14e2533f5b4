/// One command of a ManageSieve client, as far as a proxy needs to understand it before the login.
struct ManageSieveCommand: Equatable {
    /// The command in upper case; empty where a line does not begin with a word.
    let name: [UInt8]
    /// What stands behind it.
    private(set) var arguments: [ManageSieveTokens.Token]
    /// Whether some of it is not in the grammar.
    let isMalformed: Bool

    /// Takes the command off its words.
    init(_ words: ManageSieveTokens) {
        if case .atom(let name)? = words.tokens.first {
            self.name = name.map(ASCII.upper)
            arguments = Array(words.tokens.dropFirst())
        } else {
            name = []
            arguments = words.tokens
        }
        isMalformed = words.isMalformed
    }

    /// The arguments where all of them are strings.
    var strings: [[UInt8]]? {
        guard !isMalformed else { return nil }
        var strings: [[UInt8]] = []
        for argument in arguments {
            guard case .string(let text) = argument else { return nil }
            strings.append(text)
        }
        return strings
    }

    /// The answer to a challenge: a string and nothing else.
    var answer: [UInt8]? {
        guard name.isEmpty, let strings, strings.count == 1 else { return nil }
        return strings[0]
    }

    /// Overwrites the arguments: one of them may hold a password.
    mutating func wipe() {
        for index in arguments.indices {
            guard case .string(var text) = arguments[index] else { continue }
            arguments[index] = .close
            text.wipe()
        }
    }
}
