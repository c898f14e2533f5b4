public import Provider

/// An options string (`-m|--map_library_opt`) taken apart. It has one of two forms, told apart by their beginning:
///
/// - the original's, `host[,host…]:port:db:table:user:password:servercol:usercol:portcol`;
/// - `key=value …`, as libpq's connection strings have it, with keys of our own for the statement.
public struct SQLOptions: Equatable, Sendable {
    /// Where a database is.
    public struct Host: Equatable, Sendable {
        /// A name, an address, or the path of a socket; empty: what the client library takes.
        public var name: String
        /// Empty: what the client library takes.
        public var port: String

        /// A place.
        public init(name: String = "", port: String = "") {
            self.name = name
            self.port = port
        }
    }

    /// In the order in which they are to be asked; never empty.
    public var hosts = [Host()]
    /// Empty: what the client library takes. So for the next ones.
    public var database = ""
    /// The user of the database.
    public var user = ""
    /// The password of that user.
    public var password = Password("")
    /// How the connection is secured.
    public var security = SQLSecurity()
    /// What is asked for each key.
    public var statement = SQLStatement.table(SQLTable())
    /// Keys that mean nothing here and may mean something to the client library.
    public var others: [String: String] = [:]

    /// Reads either form.
    /// - Throws: `ConfigurationError`.
    public init(_ text: String, _ dialect: SQLDialect) throws(ConfigurationError) {
        if Self.isNamed(text) {
            try self.init(pairs: SQLPair.list(text))
        } else {
            try self.init(fields: text, dialect)
        }
    }

    /// What the log calls the hosts.
    public var hostNames: [String] {
        hosts.map { host in
            let name = host.name.isEmpty ? "the default host" : host.name
            return host.port.isEmpty ? name : "\(name) port \(host.port)"
        }
    }

    /// Whether a string begins with a key and its `=`. A name of a host has none.
    public static func isNamed(_ text: String) -> Bool {
        let rest = text.utf8.drop { $0 == UInt8(ascii: " ") }
        let key = rest.prefix { SQLPair.isKeyByte($0) }
        return !key.isEmpty && rest.dropFirst(key.count).first { $0 != UInt8(ascii: " ") } == UInt8(ascii: "=")
    }

    /// Hosts and ports, separated by commas: one port for all, or one for each.
    static func hosts(_ names: String, _ ports: String) throws(ConfigurationError) -> [Host] {
        var names = names.split(separator: ",").map(String.init)
        if names.isEmpty { names = [""] }
        let ports = ports.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard ports.count == 1 || ports.count == names.count else {
            throw ConfigurationError("the options string has \(names.count) hosts and \(ports.count) ports")
        }
        return names.enumerated().map { index, name in
            // Brackets keep the colons of an IPv6 address apart from those of the string.
            let bracketed = name.hasPrefix("[") && name.hasSuffix("]")
            return Host(
                name: bracketed ? String(name.dropFirst().dropLast()) : name,
                port: ports.count == 1 ? ports[0] : ports[index])
        }
    }
}
