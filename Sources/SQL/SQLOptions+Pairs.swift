public import Provider

extension SQLOptions {
    /// The form with `key=value`. What is left out is what the client library takes, but for the names of the table
    /// and its columns, which have the original's.
    /// - Throws: `ConfigurationError` where keys contradict each other.
    public init(pairs: [SQLPair]) throws(ConfigurationError) {
        var (names, ports) = ("", "")
        var table: SQLTable?
        var query: String?
        for pair in pairs {
            if try security.take(pair) { continue }
            switch pair.key {
            case "host": names = pair.value
            case "port": ports = pair.value
            case "dbname": database = pair.value
            case "user": user = pair.value
            case "password": password = Password(pair.value)
            case "query": query = pair.value
            case "table", "user_column", "server_column", "port_column":
                var named = table ?? SQLTable()
                switch pair.key {
                case "table": named.name = pair.value
                case "user_column": named.user = pair.value
                case "server_column": named.server = pair.value
                default: named.port = pair.value
                }
                table = named
            default: others[pair.key] = pair.value
            }
        }
        hosts = try Self.hosts(names, ports)
        if let query {
            guard table == nil else {
                throw ConfigurationError("the options string has a query, and names of a table or its columns as well")
            }
            statement = .query(query)
        } else {
            statement = .table(table ?? SQLTable())
        }
    }
}
