/// What a command line asks for.
public enum Invocation: Sendable {
    /// To serve, with these options; the notes belong into the log.
    case serve(Options, notes: [String])
    /// To print where a user's login would go.
    case explain(Options, user: String, connects: Bool)
    /// To print this on standard output and to exit with 0.
    case print(String)
}

extension Options {
    /// Where on the command line the values stand that may hold a password.
    static func secrets(in arguments: [String]) -> [CommandLineWords.Place] {
        CommandLineWords.secrets(in: arguments.dropFirst(), list: OptionList.all)
    }

    /// Whether the command line asks for `--check`, as far as it makes sense.
    static func asksForCheck(_ arguments: [String]) -> Bool {
        CommandLineWords.asFarAsPossible(arguments.dropFirst(), list: OptionList.all).words
            .contains { $0.option.kind.action == .check }
    }

    /// Reads the command line and the configuration file it or the program's name chooses.
    ///
    /// Nothing outside of `files` is looked at, so that a master can do it again with what it was started with.
    /// - Parameters:
    ///   - arguments: argv, the program's name first.
    ///   - directory: where a relative `--config_file` is looked for.
    ///   - files: the configuration files.
    /// - Throws: ``OptionError`` for the first thing that is wrong.
    public static func parse(
        arguments: [String], directory: String, files: OptionFiles = .system
    ) throws(OptionError) -> Invocation {
        try OptionParser(list: OptionList.all, directory: directory, files: files).parse(arguments)
    }
}
