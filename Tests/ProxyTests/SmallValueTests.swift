import Testing

@testable import Proxy

/// Refusals, log texts, secrets, and what the master tells its children.
@Suite struct SmallValueTests {
    // MARK: Refusals

    /// What the log and the original's clients know, word for word; and the class that decides the response code.
    @Test(
        arguments: [
            (.authentication(answer: []), "Re-Authentication Failure", .credentials),
            (.localAuthentication, "local authentication failure", .credentials),
            (.noServer, "Could not determine server", .permanent),
            (.notConnected, "Could not connect to server", .temporary),
            (.negotiation, "Connection Negotiation Failure", .temporary),
            (.mapUnavailable, "Temporary lookup failure", .temporary),
            (.realServerUnavailable(answer: []), "Real server unavailable", .temporary),
            (.loginDisabled, "Login Disabled", .privacy), (.tlsMissing, "TLS not present", .temporary),
            (.noMechanism, "SASL mechanism unavailable", .permanent),
        ] as [(Refusal, String, Refusal.Kind)])
    func refusalsHaveTheirReasons(refusal: Refusal, reason: String, kind: Refusal.Kind) {
        #expect(refusal.reason == reason)
        #expect(refusal.kind == kind)
        #expect(refusal.answer == nil)
    }

    @Test func refusalsKeepTheServersWords() {
        #expect(Refusal.authentication(answer: [1]).answer == [1])
        #expect(Refusal.realServerUnavailable(answer: [2]).answer == [2])
        #expect(ServerError.refused(.noServer).refusal == .noServer)
        #expect(ServerError.broken("x").refusal == .negotiation)
    }

    // MARK: Text for the log

    @Test(
        arguments: [
            (Array("joe".utf8), "joe"), ([], ""), (Array("a\"b\\c".utf8), #"a\"b\\c"#),
            ([10, 13, 0, 9], #"\012\015\000\011"#),
            ([0x7f, 0x1b], #"\177\033"#), (Array("jürgen".utf8), "jürgen"), ([0xff, 0x41], #"\377A"#),
            (Array("ü".utf8) + [0xc3], #"\303\274\303"#), (Array("ü\n".utf8), #"ü\012"#),
        ] as [([UInt8], String)])
    func showsForeignText(bytes: [UInt8], expected: String) {
        #expect(Printable.escaped(bytes) == expected)
        #expect(Printable.text(bytes) == expected)
    }

    @Test func cutsLongForeignText() {
        let limit = [UInt8](repeating: 120, count: Printable.limit)
        #expect(Printable.text(limit) == limit.text)
        #expect(Printable.text(limit + [120]) == limit.text + "…")
        #expect(Printable.escaped(limit + [120]).utf8.count == Printable.limit + 1)
    }

    // MARK: Secrets

    @Test func aSecretIsNeverShown() {
        let secret = Secret(Array("hunter2".utf8))
        #expect("\(secret)" == "***")
        #expect(String(reflecting: secret) == "***")
        var dumped = ""
        dump(Credentials(authenticationID: [], authorizationID: nil, password: secret), to: &dumped)
        #expect(!dumped.contains("hunter2"))
        #expect(!dumped.contains("104"))
        #expect(secret.count == 7)
        #expect(secret.withBytes { Array($0) }.text == "hunter2")
        #expect(Secret([]).withBytes { $0.count } == 0)
    }

    @Test func wipingLeavesNoByte() {
        var bytes = Array("hunter2".utf8)
        bytes.append(Secret(Array("hunter3".utf8)))
        #expect(bytes.text == "hunter2hunter3")
        let room = bytes.capacity
        bytes.wipe()
        #expect(bytes.isEmpty)
        #expect(bytes.capacity == room)
        let left = bytes.withUnsafeMutableBufferPointer { buffer in
            UnsafeBufferPointer(start: buffer.baseAddress, count: 14).contains { $0 != 0 }
        }
        #expect(!left)
    }

    // MARK: ASCII

    @Test func comparesWordsInAnyCase() {
        #expect(ASCII.equal("nOoP".utf8, "NOOP"))
        #expect(!ASCII.equal("NOO".utf8, "NOOP"))
        #expect(!ASCII.equal("NOOPS".utf8, "NOOP"))
        #expect(ASCII.isPrefix("au".utf8, of: "AUTH"))
        #expect(!ASCII.isPrefix("AUTHX".utf8, of: "AUTH"))
        #expect(ASCII.begins("+ok x".utf8, "+OK"))
        #expect(!ASCII.begins("+o".utf8, "+OK"))
        // The Kelvin sign and the dotless i are no letters of a command.
        #expect(!ASCII.equal("o\u{212a}".utf8, "OK"))
    }

    @Test func readsNumbers() {
        #expect(ASCII.number("0".utf8) == 0)
        #expect(ASCII.number("9223372036854775807".utf8) == Int.max)
        #expect(ASCII.number("9223372036854775808".utf8) == Int.max)
        #expect(ASCII.number("99999999999999999999999999".utf8) == Int.max)
        for text in ["", "-1", "+1", " 1", "1x", "99999999999999999999999999x", "\u{661}"] {
            #expect(ASCII.number(text.utf8) == nil, "\(text)")
        }
    }

    // MARK: Processes

    private static func orders(_ places: [Int], _ set: (inout Worker.Orders) -> Void) -> Worker.Orders {
        var orders = Worker.Orders(places: places)
        set(&orders)
        return orders
    }

    @Test(
        arguments: [
            orders([0]) { $0.reports = true },
            orders([0, 0, 1, 249]) {
                $0.mapSockets = ["/run/perdition/map.x/popmap"]
                $0.hasPassphrase = true
                $0.watchesMaps = true
                $0.hasErrors = true
            },
            orders([]) {
                $0.mapSockets = ["/a b  c/d", "/e", " f"]
                $0.authSocket = "/run/auth"
                $0.detached = true
                $0.hasBrief = true
                $0.isFirst = true
                $0.control.hasLedger = true
                $0.control.hasListener = true
                $0.control.elders = 3
                $0.control.metrics = 2
                $0.control.block = 31
            },
        ])
    func ordersArriveAsTheyWereGiven(orders: Worker.Orders) throws {
        let variable = try #require(orders.environment.first)
        #expect(variable.hasPrefix("PERDITION_WORKER="))
        #expect(Worker.Orders(String(variable.dropFirst("PERDITION_WORKER=".count))) == orders)
    }

    @Test(arguments: [
        "", "1", "1 0000000", "1 0000000 ", "x 0000000 0,0,0,0,0,0  /a", "-1 0000000 0,0,0,0,0,0  /a",
        "1, 0000000 0,0,0,0,0,0  /a", "1,x 0000000 0,0,0,0,0,0  /a", "1 000000 0,0,0,0,0,0  /a",
        "1 00000000 0,0,0,0,0,0  /a", "1 0000000  /a", "99999999999999999999 0000000 0,0,0,0,0,0  ",
        "1 0000000 0,0,0,0,0,32  /a", "1 0000000 0,0,0,-1,0,0  /a",
    ])
    func refusesOrdersThatAreNone(text: String) {
        #expect(Worker.Orders(text) == nil)
    }

    @Test func ordersNameDescriptorsInTheirPlaces() {
        var orders = Worker.Orders(places: [0, 1])
        #expect(
            [orders.report, orders.passphrase, orders.watch, orders.brief, orders.errors] == [nil, nil, nil, nil, nil])
        orders.hasPassphrase = true
        orders.hasErrors = true
        #expect(
            [orders.report, orders.passphrase, orders.watch, orders.brief, orders.errors] == [nil, 5, nil, nil, 6])
        orders.reports = true
        orders.watchesMaps = true
        orders.hasBrief = true
        #expect([orders.report, orders.passphrase, orders.watch, orders.brief, orders.errors] == [5, 6, 7, 8, 9])
        #expect(orders.sockets == [3, 4])
        let desk = Worker.Orders.Desk(ledger: 40, talk: 41, listener: nil, elders: [42, 43], metrics: [44], block: 2)
        #expect(desk.descriptors == [40, 41, 42, 43, 44])
        orders.control = desk.orders
        orders.isFirst = true
        orders.detached = true
        #expect(orders.desk.descriptors == [10, 11, 12, 13, 14])
        #expect(orders.desk.metrics == [14])
        #expect(orders.desk.listener == nil && orders.desk.elders == [12, 13] && orders.desk.block == 2)
    }

    private func choose(_ library: String, programs: Set<String>) throws -> MapProvider {
        try MapProvider.choose(library, directories: ["/opt", "/usr"], isProgram: programs.contains)
    }

    @Test func findsProviders() throws {
        let programs: Set = [
            "/usr/perdition-map-gdbm", "/opt/perdition-map-ldap", "/usr/perdition-map-ldap",
            "/usr/perdition-map-postgres",
            "/usr/perdition-map-regex", "/home/me/map",
        ]
        #expect(try choose("gdbm", programs: programs) == .program(path: "/usr/perdition-map-gdbm"))
        #expect(try choose("ldap", programs: programs) == .program(path: "/opt/perdition-map-ldap"))
        #expect(try choose("/home/me/map", programs: programs) == .program(path: "/home/me/map"))
        for original in [
            "/usr/lib/x86_64-linux-gnu/libperditiondb_gdbm.so.0", "/x/libperditiondb_gdbm.so",
            "libperditiondb_gdbm.so.0.0.0",
        ] {
            #expect(try choose(original, programs: programs) == .program(path: "/usr/perdition-map-gdbm"))
        }
        #expect(try choose("postgresql", programs: programs) == .program(path: "/usr/perdition-map-postgres"))
        #expect(
            try choose("/x/libperditiondb_postgresql.so.0", programs: programs)
                == .program(path: "/usr/perdition-map-postgres"))
        #expect(
            try choose("/x/libperditiondb_posix_regex.so.0", programs: programs)
                == .program(path: "/usr/perdition-map-regex"))
        #expect(try choose("unix:/run/map", programs: programs) == .running(socket: "/run/map"))
    }

    @Test(arguments: [
        "nosuch", "/home/me/nosuch", "unix:", "unix:map", "/x/libperditiondb_.so", "/x/libperditiondb_nis.so.0",
        "gdbm/", "", "unix:/run/a\nb",
    ])
    func namesTheOptionWhereThereIsNoProvider(library: String) {
        #expect {
            try choose(library, programs: ["/usr/perdition-map-gdbm"])
        } throws: {
            "\($0)".hasPrefix("--map_library \(library): ")
        }
    }

    @Test func refusesASocketWhosePathIsTooLong() {
        let path = "/" + String(repeating: "x", count: 107)
        #expect(throws: MapProvider.Failure.self) { try choose("unix:\(path)", programs: []) }
        #expect(throws: Never.self) { try choose("unix:\(path.dropLast())", programs: []) }
    }
}
