import CLinux
import Foundation
import Lookup
import Testing

/// The providers in front of real servers.
struct DatabaseTests {
    private func query(_ kind: Database, _ options: String, _ key: String) throws -> Outcome {
        let scratch = try Scratch()
        return try scratch.run(
            kind.program, ["--query", key], environment: ["PERDITION_MAP_LIBRARY_OPT": options])
    }

    @Test(arguments: Database.allCases) func aHundredThousandUsers(kind: Database) async throws {
        let server = try await kind.running()
        // And the three of the example, by which the table was made.
        #expect(try server.sql("SELECT count(*) FROM tblPerdition") == "100003\n")
        let provider = try await DatabaseProvider(kind, server.options)
        guard var client = BlockingClient(path: provider.scratch.file("socket"), seconds: 60) else {
            throw POSIXError(.ECONNREFUSED)
        }
        let numbers = (0..<2000).map { _ in Int.random(in: 0..<200_000) } + [0, 99_999, 100_000]
        for start in stride(from: 0, to: numbers.count, by: 100) {
            let batch = numbers[start..<min(start + 100, numbers.count)]
            let answers = client.lookUp(batch.map { Array("user\($0)".utf8) })
            for (number, answer) in zip(batch, answers) {
                let expected = number < 100_000 ? Answer.found("host\(number).example.com:143") : .notFound
                #expect(answer == expected)
            }
        }
    }

    @Test(arguments: Database.allCases) func theExampleDoesWhatItSays(kind: Database) async throws {
        let server = try await kind.running()
        let provider = try await DatabaseProvider(kind, server.options)
        let entries = [
            ("joe", "10.0.0.1"), ("ann", "annabel@imap.example.com:1143"), ("bob", "[2001:db8::7]:143"),
        ]
        for (key, value) in entries { #expect(try provider.scratch.ask(key) == .found(value)) }
        // Its user reads, and does nothing else.
        let query = "query='INSERT INTO tblPerdition VALUES (?, 1, 1)'"
        let writing = try await DatabaseProvider(kind, server.pairs(query))
        let answer = try writing.scratch.ask("intruder")
        #expect(answer.isTemporary && answer.description.lowercased().contains("denied"), "\(answer)")
    }

    @Test(arguments: Database.allCases) func aConnectionIsKept(kind: Database) async throws {
        let server = try DatabaseServer(kind)
        let before = try #require(Int(server.setup("tally").trimmingCharacters(in: .newlines)))
        let provider = try await DatabaseProvider(kind, server.options, ["--workers", "2"])
        for number in 0..<300 {
            #expect(try provider.scratch.ask("user\(number % 100)") == .found("host\(number % 100).example.com:143"))
        }
        #expect(try provider.scratch.ask("nobody") == .notFound)
        // PostgreSQL counts with a delay, the administrator's own sessions count as well.
        let after = try #require(Int(server.setup("tally").trimmingCharacters(in: .newlines)))
        #expect(after - before < 10)
    }

    @Test(arguments: Database.allCases) func aServerThatIsAwayIsNeverNotFound(kind: Database) async throws {
        let server = try DatabaseServer(kind)
        let provider = try await DatabaseProvider(kind, server.options)
        let scratch = provider.scratch
        for end in ["stop", "kill"] {
            #expect(try scratch.ask("user1") == .found("host1.example.com:143"))
            #expect(try scratch.ask("nobody") == .notFound)
            try server.setup(end)
            for _ in 0..<8 {
                for key in ["user1", "nobody", ""] { #expect(try scratch.ask(key).isTemporary) }
            }
            try server.setup("start")
            // The next lookup, and no later one.
            for _ in 0..<8 { #expect(try scratch.ask("user1") == .found("host1.example.com:143")) }
            #expect(try scratch.ask("nobody") == .notFound)
        }
        #expect(provider.log.contains("lookups fail"))
        #expect(provider.log.contains("lookups work again"))
    }

    @Test(arguments: Database.allCases) func aServerThatIsDownWhenTheProviderStarts(kind: Database) async throws {
        let server = try DatabaseServer(kind)
        try server.setup("stop")
        let provider = try await DatabaseProvider(kind, server.options)
        #expect(try provider.scratch.ask("user1").isTemporary)
        try server.setup("start")
        #expect(try provider.scratch.ask("user1") == .found("host1.example.com:143"))
    }

    @Test(arguments: Database.allCases) func aServerThatHangsIsTemporaryInTime(kind: Database) async throws {
        let server = try DatabaseServer(kind)
        let provider = try await DatabaseProvider(kind, server.options, ["--lookup_timeout", "0.5", "--workers", "2"])
        let scratch = provider.scratch
        #expect(try scratch.ask("user1") == .found("host1.example.com:143"))
        try server.setup("pause")
        for _ in 0..<6 {
            // The client gives up after five seconds and has other words for it.
            guard case .temporary(let reason) = try scratch.ask("user1") else {
                Issue.record("an answer from a server that is stopped")
                break
            }
            #expect(reason.contains("in time"), "\(reason)")
        }
        try server.setup("resume")
        #expect(try scratch.ask("user1") == .found("host1.example.com:143"))
        #expect(try scratch.ask("nobody") == .notFound)
        // One thread for each worker at most was left behind.
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(provider.program.pid)/task")
        #expect(threads.count <= 3 + 2)
    }

    @Test(arguments: Database.allCases) func theNextHostStandsInAndTheFirstComesBack(kind: Database) async throws {
        let first = try DatabaseServer(kind, rows: 10)
        let second = try DatabaseServer(kind, rows: 20)
        let options = first.options.replacing(
            "127.0.0.1:\(first.port)",
            with:
                "127.0.0.1,127.0.0.1:\(first.port),\(second.port)")
        let provider = try await DatabaseProvider(kind, options, ["--workers", "2"])
        let scratch = provider.scratch
        // Only the second has it.
        #expect(try scratch.ask("user15") == .notFound)
        for (end, again) in [("stop", "start"), ("pause", "resume")] {
            try first.setup(end)
            for _ in 0..<4 { #expect(try scratch.ask("user15") == .found("host15.example.com:143"), "\(end)") }
            try first.setup(again)
            var answers: Set<String> = []
            try await eventually("the first host") {
                let now = (0..<4).map { _ in (try? scratch.ask("user15")) ?? .permanent("no provider") }
                answers.formUnion(now.map(\.description))
                return now.allSatisfy { $0 == .notFound }
            }
            #expect(answers == ["found host15.example.com:143", "not found"])
        }
        #expect(provider.log.contains("connected to 127.0.0.1 port \(second.port)"))
        #expect(provider.log.contains("back to 127.0.0.1 port \(first.port)"))
        try first.setup("stop")
        try second.setup("stop")
        guard case .temporary(let reason) = try scratch.ask("user1") else {
            Issue.record("an answer from nowhere")
            return
        }
        #expect(reason.contains(first.port) && reason.contains(second.port))
    }

    @Test(arguments: Database.allCases) func sessionsThatTheServerEndsAreMadeAnew(kind: Database) async throws {
        let server = try DatabaseServer(kind)
        let provider = try await DatabaseProvider(kind, server.options)
        for _ in 0..<10 {
            #expect(try provider.scratch.ask("user1") == .found("host1.example.com:143"))
            try server.sql(
                kind == .mysql
                    ? "KILL USER perdition@'127.0.0.1';"
                    : "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'perdition';")
        }
        #expect(!provider.log.contains("lookups fail"))
    }

    @Test(arguments: Database.allCases) func aTableThatIsMadeAnewIsRead(kind: Database) async throws {
        let server = try await kind.running()
        try server.table("renewed", "user_ VARCHAR(20), host TEXT", rows: "('joe','one')")
        let options = server.pairs("table=renewed user_column=user_ server_column=host port_column=''")
        let provider = try await DatabaseProvider(kind, options)
        let scratch = provider.scratch
        for _ in 0..<8 { #expect(try scratch.ask("joe") == .found("one")) }
        try server.sql("DROP TABLE renewed;")
        for _ in 0..<8 { #expect(try scratch.ask("joe").isTemporary) }
        try server.table("renewed", "host VARCHAR(40), more INT, user_ CHAR(30)", rows: "('two',1,'joe')")
        for _ in 0..<8 { #expect(try scratch.ask("joe") == .found("two")) }
        try server.sql("ALTER TABLE renewed ADD another INT; UPDATE renewed SET host = 'three';")
        for _ in 0..<8 { #expect(try scratch.ask("joe") == .found("three")) }
    }

    @Test(arguments: Database.allCases) func rowsOfEveryShape(kind: Database) async throws {
        let server = try await kind.running()
        let long = String(repeating: "x", count: 8189)
        try server.table(
            "shapes", "user_ VARCHAR(20) PRIMARY KEY, host TEXT, port_ INT",
            rows: "('port','h',143)", "('none','h',NULL)", "('null',NULL,1)", "('empty','',1)",
            "('whole','joe@[2001:db8::7]:143',NULL)", "('long','\(long)',NULL)", "('longer','\(long)x',NULL)",
            "('much','\(long)\(long)',NULL)", "('ahead','\(long)',143)")
        let options = server.pairs("table=shapes user_column=user_ server_column=host port_column=port_")
        let provider = try await DatabaseProvider(kind, options, ["--workers", "1"])
        let scratch = provider.scratch
        let tooLong = Answer.permanent("the value is longer than one may be")
        let expected: [(String, Answer)] = [
            ("port", .found("h:143")), ("none", .found("h")), ("null", .notFound), ("empty", .notFound),
            ("whole", .found("joe@[2001:db8::7]:143")), ("long", .found(long)), ("longer", tooLong),
            ("much", tooLong), ("ahead", tooLong), ("port", .found("h:143")),
        ]
        for (key, answer) in expected { #expect(try scratch.ask(key) == answer, "\(key)") }
    }

    @Test(arguments: Database.allCases) func keysOfAnyBytes(kind: Database) async throws {
        let server = try await kind.running()
        let provider = try await DatabaseProvider(kind, server.options, ["--workers", "1"])
        guard var client = BlockingClient(path: provider.scratch.file("socket"), seconds: 60) else {
            throw POSIXError(.ECONNREFUSED)
        }
        let keys: [[UInt8]] =
            [
                [0xff, 0xfe], [0], Array("user1\0".utf8), Array("user1\0x".utf8), [0xc3], [0xed, 0xa0, 0x80],
                [0xf4, 0x90, 0x80, 0x80], [UInt8](repeating: 0x27, count: 1024), [UInt8](repeating: 0xe9, count: 1024),
            ]
            + (1...255).map { [$0] }
        for key in keys {
            #expect(client.lookUp(key) == .notFound, "\(key.prefix(8))")
            #expect(client.lookUp(Array("user1".utf8)) == .found("host1.example.com:143"))
        }
        #expect(!provider.log.contains("lookups fail"))
    }

    @Test(arguments: Database.allCases) func columnsOfOtherTypesAndCharacterSets(kind: Database) async throws {
        let server = try await kind.running()
        try server.table("numbers", "n INT, host VARCHAR(9)", rows: "(7,'seven')")
        let numbers = try await DatabaseProvider(
            kind, server.pairs("table=numbers user_column=n server_column=host port_column=''"))
        #expect(try numbers.scratch.ask("7") == .found("seven"))
        for key in ["8", "joe", "", "99999999999999999999"] { #expect(try numbers.scratch.ask(key) == .notFound) }
        try server.table("fixed", "u CHAR(9), host CHAR(9), p CHAR(9)", rows: "('joe','h','143')")
        let fixed = try await DatabaseProvider(
            kind, server.pairs("table=fixed user_column=u server_column=host port_column=p"))
        #expect(try fixed.scratch.ask("joe") == .found("h:143"))
        guard kind == .mysql else { return }
        try server.table("latin", "u VARCHAR(9) CHARACTER SET latin1, host TEXT", rows: "('straße','h')")
        let latin = try await DatabaseProvider(
            kind, server.pairs("table=latin user_column=u server_column=host port_column=''"))
        #expect(try latin.scratch.ask("straße") == .found("h"))
        for key in ["ж", "🙂", "stra\u{fffd}e"] { #expect(try latin.scratch.ask(key) == .notFound) }
    }

    @Test(arguments: Database.allCases) func queriesOfTheAdministrator(kind: Database) async throws {
        let server = try await kind.running()
        try server.table(
            "q", "u VARCHAR(9), alias VARCHAR(9), h VARCHAR(99)", rows: "('joe','j','one')", "('j','x','two')")
        if kind == .mysql {
            try server.sql(
                """
                DELIMITER //
                CREATE PROCEDURE locate(IN k VARCHAR(99)) BEGIN
                  SELECT CONCAT(h, '.net'), 99 FROM q WHERE u = k; SELECT 1;
                END//
                DELIMITER ;
                GRANT EXECUTE ON PROCEDURE dbPerdition.locate TO perdition@'127.0.0.1';
                """)
        }
        let procedure = kind == .mysql ? "CALL locate(?)" : "SELECT h || \\'.net\\', 99 FROM q WHERE u = $1"
        let cases: [(String, String, Answer)] = [
            ("SELECT h FROM q WHERE u = ?", "joe", .found("one")),
            ("SELECT h, 99 FROM q WHERE u = ?", "joe", .found("one:99")),
            ("SELECT h FROM q WHERE u = ? OR alias = ? ORDER BY h DESC", "j", .found("two")),
            (procedure, "joe", .found("one.net:99")),
            (procedure, "nobody", .notFound),
            ("SELECT NULL FROM q WHERE u = ?", "joe", .notFound),
            ("SELECT h FROM q, tblPerdition WHERE u = ?", "joe", .found("one")),
            (
                "SELECT h, 1, 2 FROM q WHERE u = ?", "joe",
                .permanent("the query gives 3 columns; a server, and perhaps a port, are expected")
            ),
        ]
        for (text, key, answer) in cases {
            let provider = try await DatabaseProvider(kind, server.pairs("query='\(text)'"), ["--workers", "1"])
            for _ in 0..<3 { #expect(try provider.scratch.ask(key) == answer, "\(text)") }
        }
        for text in [
            "SELEC h FROM q WHERE u = ?", "SELECT h FROM q WHERE u = ?; DROP TABLE q",
            "SELECT h FROM nosuch WHERE u = ?",
        ] {
            let provider = try await DatabaseProvider(kind, server.pairs("query='\(text)'"))
            #expect(try provider.scratch.ask("joe").isTemporary, "\(text)")
        }
        #expect(try server.sql("SELECT count(*) FROM q") == "2\n")
    }

    @Test(arguments: Database.allCases) func noKeyAndNoOptionIsRunAsSQL(kind: Database) async throws {
        let server = try await kind.running()
        try server.table("target", "u VARCHAR(9), h VARCHAR(9)", rows: "('joe','one')")
        let provider = try await DatabaseProvider(
            kind, server.pairs("table=target user_column=u server_column=h port_column=''"))
        for key in [
            "' OR '1'='1", "'; DROP TABLE target; --", "joe' --", "\\' OR 1=1 --", "joe\\", "'", "\"", "`", "%", "_oe",
            "joe'/*", "\u{bf}' OR 1=1 --", "x' UNION SELECT 'a", "$1", "?", ":u", "%s%n", "joe\n", "joe;",
        ] {
            #expect(try provider.scratch.ask(key) == .notFound, "\(key)")
        }
        #expect(try provider.scratch.ask("joe") == .found("one"))
        for piece in ["target; DROP TABLE target", "target WHERE 1=1 --", "target\" --", "target` --", "(SELECT 1) x"] {
            let fields = "127.0.0.1:\(server.port):\(kind.name):\(piece):perdition:perdition:h:u::"
            #expect(try query(kind, fields, "joe").status == 78, "\(piece)")
        }
        #expect(try server.sql("SELECT count(*) FROM target") == "1\n")
    }

    @Test(arguments: Database.allCases) func theOriginalsFormWithEverySetting(kind: Database) async throws {
        let server = try await kind.running()
        try server.table("fields", "u VARCHAR(9), h VARCHAR(9), p VARCHAR(9)", rows: "('joe','one','143')")
        let place = "127.0.0.1:\(server.port)"
        func status(_ options: String, _ key: String = "joe") throws -> Outcome { try query(kind, options, key) }
        let found = Outcome(status: 0, output: "one:143\n", errors: "")
        #expect(try status("\(place):\(kind.name):fields:perdition:perdition:h:u:p") == found)
        #expect(try status("\(place):\(kind.name):fields:perdition:perdition:h:u::").output == "one\n")
        #expect(try status(place, "user1").output == "host1.example.com:143\n")
        let schema = kind == .mysql ? "dbPerdition.fields" : "public.fields"
        #expect(try status("\(place):\(kind.name):\(schema):perdition:perdition:h:u:p") == found)
        if kind == .mysql {
            #expect(try status("\(place)::\(schema):perdition:perdition:h:u:p") == found)
            #expect(try status("127.0.0.1:\(server.port)abc:dbPerdition:fields:perdition:perdition:h:u:p") == found)
        } else {
            // A bare name folds, a quoted one does not, and the name of the database may be a connection string.
            #expect(try status("\(place):\(kind.name):FIELDS:perdition:perdition:H:u:\"p\"") == found)
            #expect(try status("\(place):\(kind.name):\"Fields\":perdition:perdition:h:u:p").status == 75)
            let name = "dbname=dbperdition sslmode=require"
            #expect(try status("\(place):\(name):fields:perdition:perdition:h:u:p") == found)
            #expect(try status("127.0.0.1:543x").status == 78)
        }
        #expect(try status("\(server.socket):\(server.port)", "user1").output == "host1.example.com:143\n")
        #expect(try status("127.0.0.1:99999").status == 78)
    }

    @Test func theClientLibrariesDefaultSockets() async throws {
        let mysql = try await Database.mysql.running()
        let postgres = try await Database.postgres.running()
        let scratch = try Scratch()
        let local = try scratch.run(
            Database.mysql.program, ["--query", "user1"],
            environment: ["PERDITION_MAP_LIBRARY_OPT": "localhost", "MYSQL_UNIX_PORT": mysql.file("socket")])
        #expect(local.output == "host1.example.com:143\n", "\(local.errors)")
        let none = try scratch.run(
            Database.postgres.program, ["--query", "user1"],
            environment: ["PERDITION_MAP_LIBRARY_OPT": ":\(postgres.port)", "PGHOST": postgres.file("")])
        #expect(none.output == "host1.example.com:143\n", "\(none.errors)")
    }

    @Test func connectionStringsOfPostgreSQL() async throws {
        let server = try await Database.postgres.running()
        let there = "127.0.0.1:\(server.port)/dbperdition"
        let query = "query='SELECT servername FROM tblPerdition WHERE \"user\" = $1'"
        for (options, value) in [
            ("postgresql://perdition:perdition@\(there)", "host1.example.com:143"),
            ("postgres://perdition:%70erdition@\(there)?sslmode=require \(query)", "host1.example.com"),
            ("postgresql://perdition@127.0.0.1:1,\(there)?password=perdition", "host1.example.com:143"),
            (
                "host=nowhere.invalid hostaddr=127.0.0.1 port=\(server.port) user=perdition password=perdition "
                    + "dbname=dbperdition application_name='a name' \(query)", "host1.example.com"
            ),
        ] {
            let outcome = try self.query(.postgres, options, "user1")
            #expect(outcome.output == value + "\n", "\(options): \(outcome.errors)")
        }
        for options in [
            "postgresql://a:geheim@[::1", "postgresql://a:geh eim@h/d", "postgresql://a:geheim@h/d?nosuch=1",
            "host=h nosuch=geheim", "host=h sslmode=require tls=off password=geheim", "host=h hostaddr=1.1.1.1,2.2.2.2",
        ] {
            let outcome = try self.query(.postgres, options, "user1")
            #expect(outcome.status == 78 && !outcome.errors.contains("geh"), "\(outcome.errors)")
        }
    }

    @Test(arguments: Database.allCases) func securedConnections(kind: Database) async throws {
        let server = try await kind.running()
        func status(_ rest: String, host: String = "127.0.0.1", user: String = "perdition") throws -> Int32 {
            let options = server.pairs(rest, host: host).replacing("user=perdition", with: "user=\(user)")
            return try query(kind, options, "user1").status
        }
        let ca = server.file("ca.pem")
        for rest in ["tls=off", "tls=prefer", "tls=require", "tls=verify ca=\(ca)", "ca=\(ca)", ""] {
            #expect(try status(rest) == 0, "\(rest)")
        }
        #expect(try status("ca=\(ca)", host: "localhost") == (kind == .mysql ? 75 : 0), "MySQL's localhost is a socket")
        // Another authority, the system's authorities, no file, a name that is not in the certificate.
        for rest in ["ca=\(server.file("otherca.pem"))", "tls=verify", "ca=/nonexistent"] {
            #expect(try status(rest) == 75, "\(rest)")
        }
        let other = kind == .mysql ? "127.1" : "other.invalid hostaddr=127.0.0.1"
        #expect(try status("tls=verify ca=\(ca)", host: other) == 75)
        #expect(try status("tls=require", host: other) == 0)
        // A user that the server lets in over TLS only.
        #expect(try status("tls=require", user: "tlsonly") == 0)
        #expect(try status("tls=off", user: "tlsonly") == 75)
    }

    @Test(arguments: Database.allCases) func aCertificateOfOurs(kind: Database) async throws {
        let server = try await kind.running()
        let scratch = try Scratch()
        // libpq takes a key only from its owner.
        for name in ["server.pem", "server.key"] {
            try scratch.write(try String(contentsOfFile: server.file(name), encoding: .utf8), to: name)
            #expect(chmod(scratch.file(name), 0o600) == 0)
        }
        let options = server.pairs("tls=verify ca=\(server.file("ca.pem"))")
            .replacing("user=perdition", with: "user=certonly")
        #expect(try query(kind, options, "user1").status == 75)
        let certified = "\(options) cert=\(scratch.file("server.pem")) key=\(scratch.file("server.key"))"
        #expect(try query(kind, certified, "user1").status == 0)
    }

    @Test(arguments: Database.allCases) func tlsThatIsAskedForIsNotGivenUp(kind: Database) async throws {
        let server = try DatabaseServer(kind)
        let file = server.file(kind == .mysql ? "my.cnf" : "data/postgresql.auto.conf")
        var text = try String(contentsOfFile: file, encoding: .utf8)
        text =
            kind == .mysql
            ? text.replacing("ssl-", with: "#ssl-") + "skip-ssl\n" : text.replacing("ssl=on", with: "ssl=off")
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        try server.setup("stop")
        try server.setup("start")
        for (rest, status) in [
            ("tls=prefer", 0), ("tls=off", 0), ("tls=require", 75), ("ca=\(server.file("ca.pem"))", 75),
        ] {
            #expect(try query(kind, server.pairs(rest), "user1").status == status, "\(rest)")
        }
    }

    @Test(arguments: Database.allCases) func noPasswordIsSeen(kind: Database) async throws {
        let server = try await kind.running()
        try server.sql(
            kind == .mysql
                ? "CREATE USER secretive@'127.0.0.1' IDENTIFIED BY 'gehe1m x'; GRANT SELECT ON dbPerdition.* TO secretive@'127.0.0.1';"
                : "CREATE ROLE secretive LOGIN PASSWORD 'gehe1m x'; GRANT SELECT ON tblPerdition TO secretive;")
        let place = "127.0.0.1:\(server.port):\(kind.name)"
        let right = "\(place):tblPerdition:secretive:gehe1m x"
        let provider = try await DatabaseProvider(kind, right, ["-d"])
        #expect(try provider.scratch.ask("user1") == .found("host1.example.com:143"))
        provider.program.signal(SIGHUP)
        #expect(try provider.scratch.ask("user1") == .found("host1.example.com:143"))
        for name in ["cmdline", "environ"] {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(provider.program.pid)/\(name)"))
            #expect(!bytes.isEmpty && bytes.range(of: Data("gehe1m".utf8)) == nil)
        }
        #expect(!provider.log.contains("gehe1m"))
        for options in [
            "\(place):tblPerdition:perdition:gehe1m", "\(place):nosuch:secretive:gehe1m x",
            "\(place):tblPerdition:secretive:perdition:gehe1m", "\(place):tblPerdition:secretive:gehe1m x:gehe1m",
            "\(place):tblPerdition:secretive:a:ge he1m gehe1m", "127.0.0.1:1:d:t:u:gehe1m",
            server.pairs("", password: "gehe1m"), server.pairs("gehe1m"), server.pairs("x=gehe1m"),
            server.pairs("table=nosuch", password: "gehe1m x").replacing("user=perdition", with: "user=secretive"),
        ] {
            let outcome = try query(kind, options, "user1")
            #expect([75, 78].contains(outcome.status), "\(options)")
            #expect(!outcome.errors.isEmpty && !outcome.errors.contains("he1m"), "\(outcome.errors)")
            let logged = try await DatabaseProvider(kind, options, ["-d"])
            if logged.program.isRunning { #expect(try logged.scratch.ask("user1").isTemporary) }
            #expect(!logged.log.contains("he1m"), "\(logged.log)")
        }
    }
}
