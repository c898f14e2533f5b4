public import Provider

/// What is asked of the database for each key.
public enum SQLStatement: Equatable, Sendable {
    /// A table with a column for the user, one for the server and perhaps one for the port.
    case table(SQLTable)
    /// A query of the administrator's own, with `?` where the key goes.
    case query(String)

    /// The statement to prepare.
    /// - Throws: `ConfigurationError` where a name is none, or a query has no place for the key.
    public func text(_ dialect: SQLDialect) throws(ConfigurationError) -> String {
        switch self {
        case .table(let table): return try table.query(dialect)
        case .query(let query):
            let marked = SQLPlaceholder.numbered(query)
            switch dialect {
            case .mysql:
                guard marked != query else { throw Self.noPlace("?") }
                return query
            case .postgres:
                // A ? can be an operator; where $1 says where the key goes, it is one.
                if query.contains("$1") { return query }
                guard marked != query else { throw Self.noPlace("$1 or ?") }
                return marked
            }
        }
    }

    private static func noPlace(_ mark: String) -> ConfigurationError {
        ConfigurationError("the query of the options string has no \(mark) where the key goes")
    }
}

/// The names of a table and of its columns, as the options string has them.
public struct SQLTable: Equatable, Sendable {
    /// The table, perhaps with its schema or database: `schema.table`.
    public var name = "tblPerdition"
    /// The column that is compared with the key.
    public var user = "user"
    /// The column with `[user<delimiter>]host[:port]`.
    public var server = "servername"
    /// The column of the port; empty: there is none.
    public var port = "port"

    /// The original's names.
    public init() {}

    func query(_ dialect: SQLDialect) throws(ConfigurationError) -> String {
        var columns = try dialect.quoted(server, "server column")
        if !port.isEmpty { columns += "," + (try dialect.quoted(port, "port column")) }
        let table = try dialect.quoted(name, "table")
        switch dialect {
        case .mysql:
            return "SELECT \(columns) FROM \(table) WHERE \(try dialect.quoted(user, "user column"))=? LIMIT 1"
        case .postgres:
            // The original quotes this one itself, so it is taken as it is.
            guard !user.isEmpty else { throw ConfigurationError("the options string names no user column") }
            return "SELECT \(columns) FROM \(table) WHERE \(dialect.quoted(whole: user))=$1 LIMIT 1"
        }
    }
}
