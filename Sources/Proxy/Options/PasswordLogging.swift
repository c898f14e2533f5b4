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

    /// Whether the password of a login that failed, or did not, may be shown.
    func shows(failed: Bool) -> Bool {
        self == .always || self == (failed ? .fail : .ok)
    }

    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
