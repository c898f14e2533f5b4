/// One option, declared once: parser, configuration file, `--help`, sample configuration, start dump and the check of
/// the manual page all read it from here.
public struct OptionDeclaration: Sendable {
    /// The long name, without dashes and with underscores.
    public let name: String
    /// The short name.
    public let letter: Character?
    /// How the value is read, written and kept.
    public let kind: OptionKind
    /// The heading it stands under.
    public let section: Section
    /// What it does, in a sentence or two.
    public let help: String
    /// What stands for the default where the value in `Options()` does not tell it.
    public let defaultNote: String?
    /// The option to use instead; nil unless the name is kept for old configurations only.
    public let replacement: String?

    /// The headings of `--help` and of the manual page.
    public enum Section: String, Sendable, CaseIterable {
        /// What is listened on and connected to.
        case connections = "Protocol and connections"
        /// What one client may have of the whole.
        case limits = "Limits"
        /// What perdition says before it relays.
        case dialogue = "What clients see"
        /// How a user becomes a real server.
        case users = "User names and popmap"
        /// What is written, and where.
        case log = "Log"
        /// Rights, files, threads.
        case process = "Process"
        /// Encryption.
        case tls = "SSL and TLS"
    }

    init(
        _ name: String, _ letter: Character?, _ kind: OptionKind, _ section: Section, _ help: String,
        default defaultNote: String? = nil, replacement: String? = nil
    ) {
        self.name = name
        self.letter = letter
        self.kind = kind
        self.section = section
        self.help = help
        self.defaultNote = defaultNote
        self.replacement = replacement
    }

    init(
        _ name: String, _ kind: OptionKind, _ section: Section, _ help: String,
        default defaultNote: String? = nil, replacement: String? = nil
    ) {
        self.init(name, nil, kind, section, help, default: defaultNote, replacement: replacement)
    }

    /// The name in the original's messages: `t|timeout`, or the long name alone.
    var names: String {
        letter.map { "\($0)|\(name)" } ?? name
    }

    /// The option as it is typed: `-t|--timeout SECONDS`.
    var usage: String {
        let names = letter.map { "-\($0)|--\(name)" } ?? "--\(name)"
        return kind.valueName.map { "\(names) \($0)" } ?? names
    }

    /// The default as `--help` prints it; nil for flags, which are off.
    var defaultText: String? {
        guard kind.valueName != nil, kind.action.isSetting else { return nil }
        if let defaultNote { return defaultNote }
        let value = kind.show(Options())
        return kind.isNumber ? value : "\"\(value)\""
    }
}
