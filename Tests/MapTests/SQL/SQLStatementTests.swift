import Provider
import SQL
import Testing

/// Statements, and what is made of their rows, as values.
struct SQLStatementTests {
    private func text(
        _ dialect: SQLDialect, table name: String = "tblPerdition", server: String = "servername",
        user: String = "user", port: String = "port"
    ) throws -> String {
        var table = SQLTable()
        (table.name, table.server, table.user, table.port) = (name, server, user, port)
        return try SQLStatement.table(table).text(dialect)
    }

    @Test func namesAreQuoted() throws {
        #expect(try text(.mysql) == "SELECT `servername`,`port` FROM `tblPerdition` WHERE `user`=? LIMIT 1")
        // Bare names fold in PostgreSQL; the original quotes that of the user column.
        #expect(
            try text(.postgres, server: "SrvCol", user: "UserCol")
                == "SELECT \"srvcol\",\"port\" FROM \"tblperdition\" WHERE \"UserCol\"=$1 LIMIT 1")
        #expect(try text(.mysql, table: "db.t").contains("FROM `db`.`t` WHERE"))
        #expect(try text(.mysql, table: "`d``b`.`a.b c`").contains("FROM `d``b`.`a.b c` WHERE"))
        #expect(try text(.postgres, table: "Mail.\"My \"\"T\"\"\"").contains("FROM \"mail\".\"My \"\"T\"\"\" WHERE"))
        #expect(try text(.postgres, user: "a\"=a OR \"b").contains("WHERE \"a\"\"=a OR \"\"b\"=$1"))
        #expect(try text(.mysql, table: "größe-1").contains("`größe-1`"))
    }

    @Test(arguments: [
        "", "t;DROP TABLE x", "t WHERE 1=1 --", "`t", "\"t", "`t`x", "a.", ".a", "a..b", "a.b.c.d", "concat(a,b)",
        "a b", "(SELECT 1)", "t/**/", "'t'", "`a`.``", "a,b",
    ])
    func whatIsNoNameIsRefused(name: String) {
        for dialect in [SQLDialect.mysql, .postgres] {
            #expect(throws: ConfigurationError.self) { try text(dialect, table: name) }
            #expect(throws: ConfigurationError.self) { try text(dialect, server: name) }
            if !name.isEmpty { #expect(throws: ConfigurationError.self) { try text(dialect, port: name) } }
        }
        #expect(throws: ConfigurationError.self) { try text(.mysql, user: name) }
    }

    @Test func theKeyHasAPlace() throws {
        func query(_ text: String, _ dialect: SQLDialect) throws -> String {
            try SQLStatement.query(text).text(dialect)
        }
        #expect(try query("SELECT a FROM t WHERE u = ?", .mysql) == "SELECT a FROM t WHERE u = ?")
        #expect(try query("SELECT a FROM t WHERE u=? OR v=?", .postgres) == "SELECT a FROM t WHERE u=$1 OR v=$1")
        #expect(try query("SELECT a FROM t WHERE u = $1 AND j ? 'x'", .postgres).contains("j ? 'x'"))
        let quoted = "SELECT '?', \"a?\" /* why? */ FROM t -- really?\nWHERE u = "
        #expect(try query(quoted + "?", .postgres) == quoted + "$1")
        for dialect in [SQLDialect.mysql, .postgres] {
            for text in ["SELECT 1", "", quoted, "SELECT '?", "SELECT 1 /* ?", "SELECT 1 -- ?"] {
                #expect(throws: ConfigurationError.self, "\(text)") { try query(text, dialect) }
            }
        }
        #expect(throws: ConfigurationError.self) { try query("SELECT a FROM t WHERE u = $1", .mysql) }
    }

    private func value(_ server: String?, _ port: String?, word: Bool = false) -> String? {
        SQLRow(server: server.map { Array($0.utf8) }, port: port.map { Array($0.utf8) }).value(word: word)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func serverAndPortMakeAValue() {
        #expect(value("host", nil) == "host")
        #expect(value("host", "143") == "host:143")
        #expect(value("joe@host", "imap") == "joe@host:imap")
        #expect(value("host", "") == "host")
        #expect(value("host  ", "  ") == "host")
        #expect(value(" host", " 1 ") == "host:1")
        #expect(value(nil, "143") == nil)
        #expect(value("", "143") == nil)
        #expect(value("  ", nil) == nil)
        #expect(value("the user@host", "1 2") == "the user@host:1 2")
        #expect(value("host and more", "1 2", word: true) == "host:1")
        #expect(value("", nil, word: true) == nil)
    }
}
