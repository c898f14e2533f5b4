import Provider
import SQL
import Testing

/// Options strings of the databases, as values.
struct SQLOptionsTests {
    private func read(_ text: String, _ dialect: SQLDialect = .mysql) throws -> SQLOptions {
        try SQLOptions(text, dialect)
    }

    private func host(_ name: String, _ port: String = "") -> SQLOptions.Host {
        SQLOptions.Host(name: name, port: port)
    }

    private func table(_ name: String, _ server: String, _ user: String, _ port: String) -> SQLStatement {
        var table = SQLTable()
        (table.name, table.server, table.user, table.port) = (name, server, user, port)
        return .table(table)
    }

    @Test func nothingIsTheOriginalsDefault() throws {
        let mysql = try read("")
        #expect(mysql.hosts == [host("localhost")])
        #expect(mysql.database == "dbPerdition")
        #expect(mysql.user == "perdition")
        #expect(mysql.password == Password("perdition"))
        #expect(mysql.statement == table("tblPerdition", "servername", "user", "port"))
        #expect(mysql.security == SQLSecurity())
        let postgres = try read("", .postgres)
        #expect(postgres.hosts == [host("localhost")])
        #expect(postgres.database == "dbperdition")
    }

    @Test func theWholeFormOfTheOriginal() throws {
        let options = try read("some.host.com:3306:aDb:bTable:cUser:dPassword:eSrvCol:fUserCol:gPortCol")
        #expect(options.hosts == [host("some.host.com", "3306")])
        #expect(options.database == "aDb")
        #expect(options.user == "cUser")
        #expect(options.password.text == "dPassword")
        #expect(options.statement == table("bTable", "eSrvCol", "fUserCol", "gPortCol"))
    }

    @Test(arguments: 1...9) func whatIsLeftOutAtTheEndIsTheDefault(count: Int) throws {
        let given = ["h", "1", "d", "t", "u", "w", "s", "k", "p"]
        let standard = ["", "", "dbPerdition", "tblPerdition", "perdition", "perdition", "servername", "user", "port"]
        let whole = given.prefix(count) + standard.dropFirst(count)
        let options = try read(given.prefix(count).joined(separator: ":"))
        #expect(options.hosts == [host(whole[0], whole[1])])
        #expect(options.database == whole[2])
        #expect(options.statement == table(whole[3], whole[6], whole[7], whole[8]))
        #expect(options.user == whole[4])
        #expect(options.password.text == whole[5])
    }

    @Test func whatIsEmptyInTheMiddleIsNothing() throws {
        // The manual's own example of what does not set a password alone.
        let options = try read("some.host.com:::::OddPassword")
        #expect(options.hosts == [host("some.host.com")])
        #expect(options.database.isEmpty)
        #expect(options.user.isEmpty)
        #expect(options.password.text == "OddPassword")
        #expect(options.statement == table("", "servername", "user", "port"))
        #expect(throws: ConfigurationError.self) { try options.statement.text(.mysql) }
    }

    @Test func anEmptyPieceAtTheVeryEndIsNone() throws {
        // As the original has it: one colon more is needed for an empty port column.
        #expect(try read("h:1:d:t:u:w:s:k:").statement == table("t", "s", "k", "port"))
        let none = try read("h:1:d:t:u:w:s:k::").statement
        #expect(none == table("t", "s", "k", ""))
        #expect(try none.text(.mysql) == "SELECT `s` FROM `t` WHERE `k`=? LIMIT 1")
        // More than there are fields for is passed over.
        #expect(try read("h:1:d:t:u:w:s:k:p:x:y").statement == table("t", "s", "k", "p"))
    }

    @Test func hostsAreAList() throws {
        #expect(try read("a,b,c:7").hosts == [host("a", "7"), host("b", "7"), host("c", "7")])
        #expect(try read("a,b:7,8").hosts == [host("a", "7"), host("b", "8")])
        #expect(try read("a,,b").hosts == [host("a"), host("b")])
        #expect(throws: ConfigurationError.self) { try read("a,b,c:7,8") }
        #expect(try read(":3307").hosts == [host("localhost", "3307")])
        #expect(try read(":5433", .postgres).hosts == [host("", "5433")])
        #expect(try read("/run/db,[::1]:1").hosts == [host("/run/db", "1"), host("::1", "1")])
        #expect(try read("[2001:db8::1],[::1],c:3306:d").hosts.map(\.name) == ["2001:db8::1", "::1", "c"])
        #expect(try read("[::1]").hosts == [host("::1")])
    }

    @Test func keysAndValues() throws {
        let options = try read(
            "  host = a,b port=1 user='the user' password='it\\'s \\\\ = : all' dbname=d table=s.t user_column=k "
                + "server_column=s port_column='' tls=verify ca=/ca cert=/cert key=/key other=x ")
        #expect(options.hosts == [host("a", "1"), host("b", "1")])
        #expect(options.user == "the user")
        #expect(options.password.text == "it's \\ = : all")
        #expect(options.database == "d")
        #expect(options.statement == table("s.t", "s", "k", ""))
        #expect(options.security.mode == .verify)
        #expect(options.security.authorities == "/ca")
        #expect(options.security.certificate == "/cert")
        #expect(options.security.key == "/key")
        #expect(options.others == ["other": "x"])
        let short = try read("user=x")
        #expect(short.hosts == [host("")])
        #expect(short.database.isEmpty && short.password.text.isEmpty)
        #expect(short.statement == .table(SQLTable()))
        #expect(
            try read("query='SELECT a, ''b'' FROM t WHERE u = ?'".replacing("''b''", with: "\\'b\\'")).statement
                == .query("SELECT a, 'b' FROM t WHERE u = ?"))
    }

    @Test(arguments: [
        "host=a b", "host='a", "host=a host=b", "host=a =b", "tls=maybe", "query='SELECT ?' table=t",
        "host=a port=1,2", "host='a' 'b'", "a=b secret word=x",
    ])
    func nonsenseIsRefused(text: String) throws {
        #expect(throws: ConfigurationError.self) { try read(text) }
    }

    @Test(arguments: [
        "host=a password=my secret word", "host=a password='secret", "password=x secret=", "h:1:d:t:u:p:sec ret",
        "h:1:d:t:u:p:a:sec'ret", "h:1:d:t:u:p`secret:s;e:c", "h:secret,x,y",
    ])
    func noErrorQuotesWhatMayBeAPassword(text: String) throws {
        for dialect in [SQLDialect.mysql, .postgres] {
            do {
                let options = try SQLOptions(text, dialect)
                _ = try options.statement.text(dialect)
                #expect(options.others["secret"] != nil || text.hasPrefix("h:") && dialect == .postgres, "\(text)")
            } catch {
                #expect(!"\(error)".contains("secret") && !"\(error)".contains("ret"), "\(error)")
            }
        }
    }

    @Test func aPasswordIsNotPrinted() throws {
        let options = try read("h:1:d:t:u:geheim")
        var dumped = ""
        dump(options, to: &dumped)
        for text in ["\(options)", String(reflecting: options), dumped, "\(options.password)"] {
            #expect(!text.contains("geheim"))
        }
        #expect("\(options.password)" == "***")
    }
}
