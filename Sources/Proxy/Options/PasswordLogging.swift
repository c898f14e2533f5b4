/// Which logins may show their password in the debugging log: the value of `--log_passwd`.
public enum PasswordLogging: String, Sendable, CaseIterable {
    /// None.
    case never
    /// Refused ones.
    case fail
    /// Accepted ones.
    case ok
    /// All.
    case always

    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
