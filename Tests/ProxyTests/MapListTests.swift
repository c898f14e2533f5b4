import Testing

@testable import Proxy

/// Which maps a configuration means, and what of its option strings may be shown.
struct MapListTests {
    private func entries(_ arguments: [String], file: String? = nil) throws -> [MapList.Entry] {
        try MapList(try parseOptions(arguments, file: file)).entries
    }

    private static func entry(_ library: String, _ options: String = "") -> MapList.Entry {
        MapList.Entry(library: library, options: options)
    }

    // MARK: One map: as it always was

    @Test func withoutOptionsItIsGDBM() throws {
        #expect(try entries([]) == [Self.entry("gdbm")])
        #expect(try entries(["-M", ""]) == [])
        #expect(try entries(["-M", "", "-m", "left over"]) == [])
    }

    @Test func ofOneMapsStringsTheLastCounts() throws {
        #expect(try entries(["-m", "a", "-m", "b"]) == [Self.entry("gdbm", "b")])
        #expect(try entries([], file: "map_library_opt a\nm b c\n") == [Self.entry("gdbm", "b c")])
        #expect(try entries(["-m", "c"], file: "map_library_opt a\nm b\n") == [Self.entry("gdbm", "c")])
        #expect(try entries(["-M", "ldap"], file: "m a\nM gdbm\n") == [Self.entry("ldap", "a")])
    }

    @Test(arguments: [
        "ldap://h/o=a,c=b?u,h,p?one?(uid=%s)?!bindname=x%2cy,x-bindpw=a b", "a,b:3306:db:t:u:p:s:u:p", "'", "a  b", ",",
    ])
    func theStringIsNeverTakenApart(text: String) throws {
        #expect(try entries(["-M", "ldap", "-m", text]) == [Self.entry("ldap", text)])
    }

    @Test(arguments: [
        "/opt/a,b/libperditiondb_ldap.so.0", "./x,y/z", ",", "gdbm,", "unix:/run/a,b/c", "gdbm,x/y", "gdbm,unix:",
    ])
    func whatCouldNotBeAListIsNone(library: String) throws {
        #expect(try entries(["-M", library]) == [Self.entry(library)])
    }

    // MARK: Several maps

    @Test func eachStringGoesToTheNextMapThatTakesOne() throws {
        #expect(
            try entries(["-M", "ldap,gdbm", "-m", "ldap://h/,", "-m", "/x y"])
                == [Self.entry("ldap", "ldap://h/,"), Self.entry("gdbm", "/x y")])
        #expect(
            try entries(["-M", "unix:/run/a, gdbm ,/usr/lib/libperditiondb_ldap.so.0", "-m", "x"])
                == [
                    Self.entry("unix:/run/a"), Self.entry("gdbm", "x"),
                    Self.entry("/usr/lib/libperditiondb_ldap.so.0"),
                ])
        #expect(
            try entries(["-M", "gdbm,gdbm", "-m", "", "-m", "b"]) == [Self.entry("gdbm"), Self.entry("gdbm", "b")])
    }

    @Test func theCommandLineReplacesTheFilesStrings() throws {
        let file = "map_library ldap,gdbm\nmap_library_opt a\nmap_library_opt b\n"
        #expect(try entries([], file: file) == [Self.entry("ldap", "a"), Self.entry("gdbm", "b")])
        #expect(try entries(["-m", "c"], file: file) == [Self.entry("ldap", "c"), Self.entry("gdbm")])
    }

    @Test func moreStringsThanMapsAreAMistake() {
        #expect(throws: OptionError("--map_library_opt is given 3 times for the 2 maps that take one")) {
            try parseOptions(["-M", "ldap,unix:/run/a,gdbm", "-m", "a", "-m", "b", "-m", "c"])
        }
        #expect {
            try parseOptions([], file: "M gdbm,gdbm\nm a\nm b\nm geheim\n")
        } throws: {
            "\($0)".hasPrefix("/c.conf:4: ") && !"\($0)".contains("geheim")
        }
        #expect(throws: OptionError.self) {
            try parseOptions(["-M", Array(repeating: "gdbm", count: 17).joined(separator: ",")])
        }
    }

    // MARK: What is shown

    static let shown: [(library: String, options: String, shown: String)] = [
        ("gdbm", "/etc/password.db", "/etc/password.db"), ("bdb", "/x", "/x"), ("nis", "map", "map"),
        ("posix_regex", "/x", "/x"), ("/usr/lib/libperditiondb_gdbm.so.0", "/x", "/x"),
        ("/opt/perdition-map-gdbm", "/x", "/x"), ("/opt/mymap", "/x", "***"), ("odbc", "a", "***"),
        ("/opt/mymap", "", ""),
        ("mysql", "localhost", "localhost"), ("mysql", "h:3306:db:t:u", "h:3306:db:t:u"),
        ("mysql", "h:3306:db:t:u:geheim", "h:3306:db:t:u:***"), ("mysql", "h:3306:db:t:u:", "h:3306:db:t:u:"),
        ("mysql", "a,b:3306:db:t:u:geheim:s:u:p", "a,b:3306:db:t:u:***:s:u:p"),
        ("mysql", "[::1],[fe80::2]:3306:db:t:u:geheim:s", "[::1],[fe80::2]:3306:db:t:u:***:s"),
        ("mysql", "localhost::db:t:u:geheim", "localhost::db:t:u:***"),
        ("mysql", "::1:3306:db:t:u:geheim", "***"), ("mysql", "fe80::1:3306:db:t:u:geheim", "***"),
        ("mysql", "2001:db8::1:3306:db:t:u:geheim", "***"), ("mysql", "h:3306:db:t:u:a:s:u:p:geheim", "***"),
        ("mysql", "h:3306:db:password=geheim", "***"), ("mysql", "[::1:3306:db:t:u:geheim", "***"),
        (
            "postgres", "host=db user=u password=geheim dbname='a b'",
            "host=db user=u password=*** dbname='a b'"
        ),
        ("postgresql", "host = db  password = 'ge\\'he im' port=1", "host = db  password = *** port=1"),
        ("postgres", "sslpassword=geheim PASSWORD=geheim", "sslpassword=*** PASSWORD=***"),
        ("postgres", "passfile=/x password='geheim", "***"), ("postgres", "host=db password=ge heim", "***"),
        ("postgres", "password=ge\\ heim", "***"),
        (
            "mysql", "host=db password=geheim query=SELECT a, b FROM t WHERE c = ?",
            "host=db password=*** query=SELECT a, b FROM t WHERE c = ?"
        ),
        ("mysql", "query=SELECT 1 password=geheim", "***"),
        ("postgres", "postgresql://u:geheim@h:1/db?sslmode=require", "postgresql://u:***@h:1/db?sslmode=require"),
        ("postgres", "postgres://u@h/db?password=geheim&a=b", "postgres://u@h/db?password=***&a=b"),
        ("postgres", "postgres://u:ge:he@im@h/db", "postgres://u:***@h/db"),
        ("postgres", "postgres://u:ge/heim@h/db", "***"), ("postgres", "postgres://u:ge?heim@h/db", "***"),
        ("postgres", "postgres://h/db", "postgres://h/db"), ("postgres", "postgres://u:geheim", "***"),
        ("postgres", "postgres://h:5432,[::1]:5433,[::2]/db", "postgres://h:5432,[::1]:5433,[::2]/db"),
        (
            "postgres", "postgresql://u:geheim@h/db table=t password='geheim' query=SELECT 1",
            "postgresql://u:***@h/db table=t password=*** query=SELECT 1"
        ),
        ("postgres", "postgres://u:ge heim@h/db", "***"), ("postgres", "postgres://u:ge =heim@h/db", "***"),
        ("postgres", "h:5432:password=geheim:t", "***"), ("postgres", ":5432:db:t:u:geheim", ":5432:db:t:u:***"),
        ("mysql", "h:3306:d:t:u:geheim:servername:user::", "h:3306:d:t:u:***:servername:user::"),
        ("ldap", "ldap://h/o=a?u,h,p?sub?(uid=%s)", "ldap://h/o=a?u,h,p?sub?(uid=%s)"),
        (
            "ldap", "3:ldap://h/o=a?u,h,p?sub?(uid=%s)?!BINDNAME=uid=p%2co=d.com,X-BINDPW=geheim",
            "3:ldap://h/o=a?u,h,p?sub?(uid=%s)?!BINDNAME=uid=p%2co=d.com,X-BINDPW=***"
        ),
        (
            "libperditiondb_ldap.so.0", "ldap://h/????x-bindpw=ge,heim,!bindname=x",
            "ldap://h/????x-bindpw=***,!bindname=x"
        ),
        ("ldap", "ldap://h/????xbindpw=geheim", "***"), ("ldap", "ldap://u:geheim@h/", "***"),
        ("ldap", "ldap://h/?x-bindpw=geheim", "***"), ("ldap", "geheim", "***"),
        ("ldap", "ldap://h/????x-bindpw=ge?heim", "***"),
        ("postgres", "postgresql://\u{352}u:geheim@h/d", "***"), ("gdbm", "/e\u{301}", "/e\u{301}"),
        // To the database's library, the value of user is all up to the next blank.
        ("postgres", "host=h user= password=geheim dbname=d", "***"),
        ("postgres", "host=h dbname=x=y", "host=h dbname=x=y"),
        // Brackets belong around addresses.
        ("mysql", "[:3306:a](:u:t:geheim:", "***"), ("mysql", "[db]:3306:d:t:u:geheim", "***"),
        ("mysql", "[::1],h:3306:d:t:u:geheim", "[::1],h:3306:d:t:u:***"),
    ]

    @Test(arguments: shown)
    func passwordsAreMasked(library: String, options: String, shown: String) {
        #expect(MapOptionMask.text(options, library: library) == shown)
    }

    @Test func theDumpShowsEachStringOnItsOwn() throws {
        let options = try parseOptions(["-M", "mysql,unix:/a,gdbm", "-m", "h:1:d:t:u:geheim", "-m", "/x"])
        let line = try #require(options.dumpLines.first)
        #expect(
            line.contains(#"map_library="mysql,unix:/a,gdbm", map_library_opt="h:1:d:t:u:***", map_library_opt="/x", "#)
        )
        let one = try parseOptions(["-M", "mysql", "-m", "geheim1:geheim2=3", "-m", "h:1:d:t:u:geheim:s"])
        #expect(one.dumpLines[0].contains(#"map_library_opt="h:1:d:t:u:***:s", "#))
        #expect(try parseOptions([]).dumpLines[0].contains(#"map_library_opt="", "#))
    }

    // MARK: The command line

    static let commandLines: [([String], [(Int, Int)])] = [
        (["-m", "geheim"], [(2, 0)]), (["-mgeheim"], [(1, 2)]), (["-m=geheim"], [(1, 3)]),
        (["-qdm", "geheim"], [(2, 0)]),
        (["-qm=geheim", "-m", "geheim", "-F", "-"], [(1, 4), (3, 0)]),
        (["--map_library_opt", "geheim", "stray"], [(2, 0)]), (["--map_library_opt=geheim"], [(1, 18)]),
        (["-F", "-m", "-m", "geheim", "--nonsense"], [(4, 0)]), (["-m"], []), (["-M", "-mgeheim"], []),
        (["-m", "--map_library_opt=geheim"], [(2, 0)]),
    ]

    @Test(arguments: commandLines)
    func theSecretsOfTheCommandLineAreFound(arguments: [String], places: [(Int, Int)]) {
        let found = Options.secrets(in: ["perdition"] + arguments)
        #expect(found == places.map { CommandLineWords.Place(argument: $0.0, offset: $0.1) })
        for (place, text) in zip(found, (["perdition"] + arguments).filter { $0.hasSuffix("geheim") }) {
            #expect(text.utf8.dropFirst(place.offset).elementsEqual("geheim".utf8) || text.hasPrefix("--map"))
        }
    }

    @Test func mistakesDoNotShowThem() {
        for arguments in [
            ["-m", "host=db", "password=geheim"], ["-mx", "--", "geheim"], ["-m", "geheim", "--nonsense"],
        ] {
            #expect { try parseOptions(arguments) } throws: { !"\($0)".contains("geheim") }
        }
        for line in ["map_library_opt=geheim", "m=geheim"] {
            #expect { try parseOptions([], file: line) } throws: { !"\($0)".contains("geheim") }
        }
    }
}
