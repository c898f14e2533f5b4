import Provider

extension SQLOptions {
    /// The original's form. What is left out at the end has the original's default; what is empty in the middle is
    /// nothing: no database, no password, no column of the port.
    init(fields text: String, _ dialect: SQLDialect) throws(ConfigurationError) {
        let fields = Self.fields(text)
        func field(_ number: Int, _ standard: String) -> String {
            fields.indices.contains(number) ? fields[number] : standard
        }
        var hosts = try Self.hosts(field(0, ""), field(1, ""))
        // Where the original is given no host, its MySQL library finds none, and its PostgreSQL library has no field
        // at all, or an empty one, which is libpq's default.
        for index in hosts.indices where hosts[index].name.isEmpty && (fields.isEmpty || dialect == .mysql) {
            hosts[index].name = "localhost"
        }
        self.hosts = hosts
        database = field(2, dialect.database)
        user = field(4, "perdition")
        password = Password(field(5, "perdition"))
        var table = SQLTable()
        table.name = field(3, table.name)
        table.server = field(6, table.server)
        table.user = field(7, table.user)
        table.port = field(8, table.port)
        statement = .table(table)
    }

    /// The text between colons, but not those within the brackets of an address. An empty piece at the very end is
    /// none, as the original's way to split has it.
    private static func fields(_ text: String) -> [String] {
        var fields: [String] = []
        var field = ""
        var bracketed = false
        for scalar in text.unicodeScalars {
            if fields.isEmpty, scalar == "[" { bracketed = true }
            if scalar == "]" { bracketed = false }
            if scalar == ":", !bracketed {
                fields.append(field)
                field = ""
            } else {
                field.unicodeScalars.append(scalar)
            }
        }
        if !field.isEmpty { fields.append(field) }
        return fields
    }
}
