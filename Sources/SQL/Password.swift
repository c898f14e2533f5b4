/// A password that cannot end up in a log: whatever prints it prints `***`.
///
/// It lives as long as the provider, which needs it each time a connection is lost.
public struct Password: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    /// The password itself, for the client library.
    public let text: String

    /// Keeps a password.
    public init(_ text: String) {
        self.text = text
    }

    /// Never the password.
    public var description: String { "***" }
    /// Never the password, not even in a dump.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
