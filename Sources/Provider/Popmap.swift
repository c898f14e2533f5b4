public import Lookup
public import PopmapTable

/// A backend of a map provider: what is particular to one kind of database.
///
/// All else, sockets, options, signals, limits, belongs to `Service`. Each worker thread has an instance of its own, so
/// that a client library that blocks, or is not made for threads, can be used as it is.
public protocol Popmap: SendableMetatype {
    /// What the workers share: the options string taken apart, and what else is made once.
    associatedtype Configuration: Sendable

    /// Reads the options string (`-m|--map_library_opt`). A database that is down is no fault here: that is for
    /// `lookup` to say.
    /// - Parameters:
    ///   - options: the string, as the kind of map has it.
    ///   - patience: milliseconds one lookup may take (`--lookup_timeout`), connecting and all hosts included; then it
    ///     is `temporary`.
    /// - Throws: `ConfigurationError` where no lookup with these options can ever succeed.
    static func configuration(_ options: String, patience: Int) throws(ConfigurationError) -> Configuration

    /// An instance for one worker; it connects when it is first asked.
    init(_ configuration: Configuration)

    /// Answers one key. It may block, but comes back before its time is up: the proxy takes a
    /// provider that stays silent for dead.
    mutating func lookup(_ key: [UInt8]) -> Answer

    /// Lets go of what it holds open and begins anew with the next lookup (SIGHUP).
    mutating func reopen()

    /// All entries as they are now, for a proxy that would rather read than ask; nil where there is no such thing at
    /// present. Only a map whose every change shows in the state of one file can have one.
    /// - Throws: `NoTable` where there never will be one.
    mutating func table() throws(NoTable) -> PopmapTableFile?

    /// Has those who hold a table ask from now on (SIGHUP).
    static func withdrawTable(_ configuration: Configuration)
}

extension Popmap {
    /// None: this kind of map has to be asked.
    public mutating func table() throws(NoTable) -> PopmapTableFile? { throw NoTable() }

    /// Nobody holds one.
    public static func withdrawTable(_ configuration: Configuration) {}
}

/// There is no table of such a map.
public struct NoTable: Error {
    /// What to throw.
    public init() {}
}

/// An options string that makes no sense.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence for the log; it must not quote a password.
    public let description: String

    /// An error with its sentence.
    public init(_ description: String) {
        self.description = description
    }
}
