import CPQ
import Glibc
import Provider
import SQL

/// A connection to PostgreSQL with its prepared statement. All of it is libpq's asynchronous interface, except that
/// the name of a host is resolved where the connection is made.
final class PostgresConnection: SQLConnection {
    /// The name of the prepared statement.
    private static let name = "perdition"

    private let connection: OpaquePointer
    private let statement: String
    /// Whether the statement is prepared under its name; not where something between us and the database hands each
    /// query to another session.
    private var isPrepared = false

    static var cutsAtBlank: Bool { true }

    static func settings(_ options: String) throws(ConfigurationError) -> PostgresSettings {
        // libpq looks for a client's certificate at home, and gives up where it must not look: at root's, for one whom
        // root has started. Without it, the home is that of the account.
        if let home = getenv("HOME"), access(home, X_OK) != 0 { unsetenv("HOME") }
        return try PostgresSettings(options)
    }

    static func hosts(_ settings: PostgresSettings) -> [String] {
        settings.hostNames
    }

    static func open(
        _ settings: PostgresSettings, host: Int, by deadline: Deadline
    ) throws(SQLFault) -> PostgresConnection {
        let connection = try PostgresConnection(settings, host)
        try connection.connect(by: deadline)
        try connection.prepare(by: deadline)
        return connection
    }

    private init(_ settings: PostgresSettings, _ host: Int) throws(SQLFault) {
        let parameters = settings.parameters(host: host)
        let keys = CStrings(parameters.map(\.key))
        let values = CStrings(parameters.map(\.value))
        statement = settings.statement
        let begun = keys.withPointers { keys in
            values.withPointers { values in PQconnectStartParams(keys, values, settings.expandsName ? 1 : 0) }
        }
        guard let begun else { throw SQLFault(.temporary, "out of memory") }
        connection = begun
    }

    deinit {
        PQfinish(connection)
    }

    private func connect(by deadline: Deadline) throws(SQLFault) {
        var next = PGRES_POLLING_WRITING
        if PQstatus(connection) == CONNECTION_BAD { throw fault() }
        while next != PGRES_POLLING_OK {
            guard next != PGRES_POLLING_FAILED else { throw fault() }
            try wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT, by: deadline)
            next = PQconnectPoll(connection)
        }
        PQsetnonblocking(connection, 1)
    }

    private func prepare(by deadline: Deadline) throws(SQLFault) {
        guard PQsendPrepare(connection, Self.name, statement, 0, nil) == 1 else { throw fault() }
        var state: String?
        while let result = try next(by: deadline) {
            defer { PQclear(result) }
            guard PQresultStatus(result) != PGRES_COMMAND_OK else { continue }
            state = Self.state(result)
            // There is one of this name: somebody else's session, which a pooler has handed to us.
            guard state == "42P05" else { throw Self.fault(result) }
        }
        isPrepared = state == nil
    }

    func row(_ key: [UInt8], by deadline: Deadline) throws(SQLFault) -> SQLRow? {
        // Text of PostgreSQL has no NUL, so no column holds this key.
        guard !key.contains(0) else { return nil }
        if isPrepared {
            if case .row(let row) = try ask(key, by: deadline) { return row }
            isPrepared = false
        }
        guard case .row(let row) = try ask(key, by: deadline) else {
            throw SQLFault(.temporary, "the database does not know the statement")
        }
        return row
    }

    private enum Reply {
        case row(SQLRow?)
        /// The session has no statement of that name.
        case unprepared
    }

    private func ask(_ key: [UInt8], by deadline: Deadline) throws(SQLFault) -> Reply {
        let sent = CStrings([key]).withPointers { values in
            isPrepared
                ? PQsendQueryPrepared(connection, Self.name, 1, values, nil, nil, 0)
                : PQsendQueryParams(connection, statement, 1, nil, values, nil, nil, 0)
        }
        guard sent == 1 else { throw fault() }
        // A query of the administrator's own may give many rows; they are not to pile up here.
        PQsetSingleRowMode(connection)
        var reply = Reply.row(nil)
        var seen = false
        var failure: SQLFault?
        while let result = try next(by: deadline) {
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_SINGLE_TUPLE:
                guard !seen else { continue }
                seen = true
                do throws(SQLFault) { reply = .row(try Self.row(result)) } catch { failure = error }
            case PGRES_TUPLES_OK: break
            case PGRES_COMMAND_OK:
                failure = SQLFault(.permanent, "the query gives no columns; a server, and perhaps a port, are expected")
            default:
                if Self.state(result) == "26000", isPrepared {
                    reply = .unprepared
                } else {
                    failure = Self.fault(result)
                }
            }
        }
        if let failure { throw failure }
        return reply
    }

    private static func row(_ result: OpaquePointer) throws(SQLFault) -> SQLRow {
        let count = PQnfields(result)
        guard count == 1 || count == 2 else {
            throw SQLFault(.permanent, "the query gives \(count) columns; a server, and perhaps a port, are expected")
        }
        func column(_ number: Int32) -> [UInt8]? {
            guard number < count, PQgetisnull(result, 0, number) == 0, let text = PQgetvalue(result, 0, number) else {
                return nil
            }
            // One byte more than a value may have is enough to see that it is too long.
            let length = min(Int(PQgetlength(result, 0, number)), SQLLimits.value + 1)
            return Array(UnsafeRawBufferPointer(start: text, count: length))
        }
        return SQLRow(server: column(0), port: column(1))
    }

    /// The next result of what was sent; nil when it is through.
    private func next(by deadline: Deadline) throws(SQLFault) -> OpaquePointer? {
        while true {
            let unsent = PQflush(connection)
            guard unsent >= 0 else { throw fault() }
            guard unsent == 1 || PQisBusy(connection) == 1 else { return PQgetResult(connection) }
            try wait(unsent == 1 ? POLLIN | POLLOUT : POLLIN, by: deadline)
            guard PQconsumeInput(connection) == 1 else { throw fault() }
        }
    }

    private func wait(_ events: Int32, by deadline: Deadline) throws(SQLFault) {
        guard deadline.wait(PQsocket(connection), events) != 0 else {
            throw SQLFault(.late, "the database did not answer in time")
        }
    }

    private func fault() -> SQLFault {
        SQLFault(.temporary, PQerrorMessage(connection).map { String(cString: $0) } ?? "the connection failed")
    }

    private static func fault(_ result: OpaquePointer) -> SQLFault {
        switch state(result) {
        // Character not in repertoire, untranslatable character, invalid text representation, number out of range:
        // no value of the column is written like this.
        case "22021", "22P05", "22P02", "22003":
            SQLFault(.impossibleKey, "the key is nothing that the column could hold")
        // Undefined column: its name may be a piece of a password that had a colon.
        case "42703": SQLFault(.temporary, "a column that the options string names does not exist")
        default: SQLFault(.temporary, pq_message(result).map { String(cString: $0) } ?? "the query failed")
        }
    }

    private static func state(_ result: OpaquePointer) -> String? {
        pq_state(result).map { String(cString: $0) }
    }
}
