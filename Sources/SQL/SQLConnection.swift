public import Provider

/// A connection to one host of a database: what is particular to one client library.
///
/// One thread makes it, and one at a time uses it.
public protocol SQLConnection: AnyObject, SendableMetatype {
    /// The options string taken apart, and what is made of it.
    associatedtype Settings: Sendable

    /// Whether server and port end at their first blank, as they do in the original.
    static var cutsAtBlank: Bool { get }

    /// Reads the options string.
    /// - Throws: `ConfigurationError` where no lookup with it can succeed; it must not quote what might be a password.
    static func settings(_ options: String) throws(ConfigurationError) -> Settings

    /// Names of the hosts, in the order in which they are to be asked, for the log.
    static func hosts(_ settings: Settings) -> [String]

    /// Connects to a host, and prepares the statement. It may block for longer than the deadline says: it runs in a
    /// thread of its own, which nobody waits for any longer.
    /// - Throws: `SQLFault`.
    static func open(_ settings: Settings, host: Int, by deadline: Deadline) throws(SQLFault) -> Self

    /// The row of a key; nil where there is none. It is back by the deadline.
    /// - Throws: `SQLFault`, after which the connection is only good to be closed, unless it is `.impossibleKey`.
    func row(_ key: [UInt8], by deadline: Deadline) throws(SQLFault) -> SQLRow?
}
