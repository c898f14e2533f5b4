/// What a running perdition can be asked over its control socket: one line, a word and at most one argument.
public enum ControlCommand: Equatable, Sendable {
    /// Every session, of every worker.
    case who
    /// Ends the sessions of a user.
    case kick(user: [UInt8])
    /// Counters and states at a glance.
    case stats
    /// Where a user's login would go, and why.
    case lookup(user: [UInt8])
    /// Forgets what maps have said.
    case purge
    /// What SIGHUP does, with an answer.
    case reload
    /// Accepts nobody any more, and ends with the last session.
    case drain

    /// Longest request, its line end included, in bytes: a name of 1,024 bytes, each of them escaped.
    public static let longestLine = 4 * 1024 + 64

    /// Why a line is no command; a sentence.
    public struct Fault: Error, Equatable, CustomStringConvertible {
        /// What is wrong, and what would be right.
        public let description: String
    }

    /// Reads a line without its end.
    /// - Throws: ``Fault``.
    public init(line: [UInt8]) throws(Fault) {
        let words = line.split(separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
        let word = words.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        let argument = words.count == 2 ? ControlText.plain(words[1]) : nil
        switch word {
        case "who", "stats", "purge", "reload", "drain":
            guard words.count == 1 else { throw Fault(description: "\(word) takes no argument") }
            switch word {
            case "who": self = .who
            case "stats": self = .stats
            case "purge": self = .purge
            case "reload": self = .reload
            default: self = .drain
            }
        case "kick", "lookup":
            guard let argument, !argument.isEmpty else { throw Fault(description: "\(word) needs the name of a user") }
            self = word == "kick" ? .kick(user: argument) : .lookup(user: argument)
        default:
            throw Fault(
                description:
                    "no such command: \(ControlText.escaped(word.utf8)); there are who, kick, stats, lookup, purge, "
                    + "reload and drain")
        }
    }

    /// The line, without its end.
    public var line: String {
        switch self {
        case .who: "who"
        case .kick(let user): "kick \(ControlText.escaped(user))"
        case .stats: "stats"
        case .lookup(let user): "lookup \(ControlText.escaped(user))"
        case .purge: "purge"
        case .reload: "reload"
        case .drain: "drain"
        }
    }
}
