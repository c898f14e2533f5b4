/// How one option's value gets into ``Options`` and out again.
public struct OptionKind: Sendable {
    /// What is wrong with a value: `original` in the words that programs may know from the C perdition, the rest for
    /// a line that also has a file and a number.
    struct Problem: Error {
        let original: String
        let wrong: String
        let instead: String
    }

    /// What the parser does when it meets the option.
    enum Action: Sendable {
        /// Sets something.
        case set
        /// Names the file that is read first.
        case configFile
        /// Prints something and ends.
        case help, sample, completion
        /// Looks at something and ends.
        case check, explain, connect

        /// Whether it is a part of the configuration.
        var isSetting: Bool { self == .set || self == .configFile }
    }

    typealias Take = @Sendable (inout Options, String, OptionDeclaration) throws(Problem) -> Void

    let valueName: String?
    let action: Action
    let isNumber: Bool
    /// Whether the value must not be printed.
    let isSecret: Bool
    /// Each mention adds to the one before.
    let accumulates: Bool
    /// The words a value is one of, or made of with commas between; none where it can be anything.
    let words: [String]
    let take: Take
    /// The value as it can be given to the option again; for flags `on` or `off`.
    let show: @Sendable (Options) -> String
    /// Puts the default back.
    let reset: @Sendable (inout Options) -> Void

    init(
        _ valueName: String?, action: Action = .set, isNumber: Bool = false, isSecret: Bool = false,
        accumulates: Bool = false, words: [String] = [], take: @escaping Take,
        show: @escaping @Sendable (Options) -> String,
        reset: @escaping @Sendable (inout Options) -> Void
    ) {
        self.valueName = valueName
        self.action = action
        self.isNumber = isNumber
        self.isSecret = isSecret
        self.accumulates = accumulates
        self.words = words
        self.take = take
        self.show = show
        self.reset = reset
    }

    typealias Path<Value> = any WritableKeyPath<Options, Value> & Sendable
}
