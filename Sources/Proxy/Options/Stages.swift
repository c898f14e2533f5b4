/// The places a user name is used in, each of which can see another form of it: the value of `--add_domain`,
/// `--strip_domain` and `--lower_case`.
public struct Stages: OptionSet, Sendable, Hashable {
    /// One bit for each stage.
    public let rawValue: UInt8

    /// Makes a set from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The key looked up in the popmap.
    public static let serverLookup = Stages(rawValue: 1)
    /// The name that `--authenticate_in` checks.
    public static let localAuthentication = Stages(rawValue: 2)
    /// The name sent to the real server.
    public static let remoteLogin = Stages(rawValue: 4)
    /// Every stage.
    public static let all: Stages = [.serverLookup, .localAuthentication, .remoteLogin]

    static let names: [(Stages, String)] = [
        (.serverLookup, "servername_lookup"), (.localAuthentication, "local_authentication"),
        (.remoteLogin, "remote_login"),
    ]

    /// One stage by its name or its deprecated spelling, in any case.
    init?(option text: Substring) {
        switch text.lowercased() {
        case "all": self = .all
        case "servername_lookup", "server_lookup": self = .serverLookup
        case "local_authentication", "local_auth": self = .localAuthentication
        case "remote_login": self = .remoteLogin
        default: return nil
        }
    }

    /// The value as it can be given to the option again.
    var optionText: String {
        self == .all ? "all" : Self.names.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}
