import CMariaDB
import Glibc
import Lookup
import Provider
import SQL

/// A connection to MariaDB or MySQL with its prepared statement.
///
/// Connecting uses the client library's blocking calls, in the thread made for it; lookups use its non-blocking ones,
/// as its own timeouts are whole seconds.
final class MySQLConnection: SQLConnection {
    /// Room for a column; a longer value is recognized by its length.
    private static let room = SQLLimits.value + 1
    /// Result sets of a stored procedure that are passed over.
    private static let resultLimit = 16

    private let mysql: UnsafeMutablePointer<MYSQL>
    private var statement: UnsafeMutablePointer<MYSQL_STMT>?
    private let key = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Limits.key)
    private let keyLength = UnsafeMutablePointer<UInt>.allocate(capacity: 1)
    private let columns = [MySQLColumn(room: MySQLConnection.room), MySQLColumn(room: MySQLConnection.room)]
    /// Something went wrong on it: it is closed without a farewell, which could block.
    private var failed = false

    static var cutsAtBlank: Bool { false }

    static func settings(_ options: String) throws(ConfigurationError) -> MySQLSettings {
        // Once, before there are threads. Over TLS the library writes with write(2).
        signal(SIGPIPE, SIG_IGN)
        guard mysql_server_init(0, nil, nil) == 0 else {
            throw ConfigurationError("the client library of MariaDB cannot be used")
        }
        return try MySQLSettings(options)
    }

    static func hosts(_ settings: MySQLSettings) -> [String] {
        settings.options.hostNames
    }

    static func open(
        _ settings: MySQLSettings, host: Int, by deadline: Deadline
    ) throws(SQLFault) -> MySQLConnection {
        try MySQLConnection(settings, settings.hosts[host], by: deadline)
    }

    private init(
        _ settings: MySQLSettings, _ host: MySQLSettings.Host, by deadline: Deadline
    ) throws(SQLFault) {
        guard let mysql = mysql_init(nil) else { throw SQLFault(.temporary, "out of memory") }
        self.mysql = mysql
        keyLength.initialize(to: 0)
        key.initialize(repeating: 0)
        try connect(settings, host, by: deadline)
        try prepare(settings.statement)
    }

    deinit {
        if failed { shutdown(mysql_get_socket(mysql), Int32(SHUT_RDWR)) }
        if let statement { mysql_stmt_close(statement) }
        mysql_close(mysql)
        key.deallocate()
        keyLength.deallocate()
    }

    private func connect(
        _ settings: MySQLSettings, _ host: MySQLSettings.Host, by deadline: Deadline
    ) throws(SQLFault) {
        let options = settings.options
        // Whole seconds, and for each step on its own: nobody waits for it that long, but the thread is to end.
        var seconds = UInt32(clamping: max(1, (deadline.remaining + 999) / 1000))
        for timeout in [MYSQL_OPT_CONNECT_TIMEOUT, MYSQL_OPT_READ_TIMEOUT, MYSQL_OPT_WRITE_TIMEOUT] {
            mysql_options(mysql, timeout, &seconds)
        }
        // The size of the stack that non-blocking calls run on: TLS is done there.
        var stack = 128 * 1024
        mysql_options(mysql, MYSQL_OPT_NONBLOCK, &stack)
        mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4")
        // A server must not be able to ask for files of ours.
        var off: UInt32 = 0
        mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off)
        secure(settings)
        let opened = mysql_real_connect(
            mysql, host.name, Self.orNil(options.user), Self.orNil(options.password.text), Self.orNil(options.database),
            host.port, Self.orNil(host.socket), 0)
        guard opened != nil else { throw fault(mysql_errno(mysql), mysql_error(mysql)) }
        // The library goes on without TLS where the server has none; a certificate that is to be verified it demands.
        if settings.mode == .require, mysql_get_ssl_cipher(mysql) == nil {
            failed = true
            throw SQLFault(.temporary, "the server has no TLS, which the options string requires")
        }
    }

    private func secure(_ settings: MySQLSettings) {
        guard settings.mode != .off else { return }
        let security = settings.options.security
        mysql_ssl_set(
            mysql, Self.orNil(security.key), Self.orNil(security.certificate), settings.authorities, nil, nil)
        var verify: my_bool = settings.mode == .verify ? 1 : 0
        mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify)
    }

    private func prepare(_ text: String) throws(SQLFault) {
        guard let statement = mysql_stmt_init(mysql) else { throw SQLFault(.temporary, "out of memory") }
        self.statement = statement
        guard mysql_stmt_prepare(statement, text, UInt(text.utf8.count)) == 0 else {
            throw fault(mysql_stmt_errno(statement), mysql_stmt_error(statement))
        }
        let count = Int(mysql_stmt_param_count(statement))
        guard count > 0 else { throw SQLFault(.permanent, "the query has no ? where the key goes") }
        // The same key wherever the query asks for it.
        var parameters = [MYSQL_BIND](repeating: MYSQL_BIND(), count: count)
        for index in parameters.indices {
            parameters[index].buffer_type = MYSQL_TYPE_STRING
            parameters[index].buffer = UnsafeMutableRawPointer(key.baseAddress)
            parameters[index].buffer_length = UInt(key.count)
            parameters[index].length = keyLength
        }
        guard mysql_stmt_bind_param(statement, &parameters) == 0 else {
            throw fault(mysql_stmt_errno(statement), mysql_stmt_error(statement))
        }
    }

    func row(_ bytes: [UInt8], by deadline: Deadline) throws(SQLFault) -> SQLRow? {
        guard let statement, bytes.count <= key.count else { throw SQLFault(.impossibleKey, "the key is too long") }
        for (index, byte) in bytes.enumerated() { key[index] = CChar(bitPattern: byte) }
        keyLength.pointee = UInt(bytes.count)

        var code: Int32 = 0
        try wait(mysql_stmt_execute_start(&code, statement), by: deadline) {
            mysql_stmt_execute_cont(&code, statement, $0)
        }
        guard code == 0 else { throw fault(mysql_stmt_errno(statement), mysql_stmt_error(statement)) }
        let row = try fetch(statement, by: deadline)

        // What is left of the result, and the results that a stored procedure adds.
        for _ in 0..<Self.resultLimit {
            var freed: my_bool = 0
            try wait(mysql_stmt_free_result_start(&freed, statement), by: deadline) {
                mysql_stmt_free_result_cont(&freed, statement, $0)
            }
            guard freed == 0 else { throw fault(mysql_stmt_errno(statement), mysql_stmt_error(statement)) }
            guard mysql_stmt_more_results(statement) != 0 else { return row }
            try wait(mysql_stmt_next_result_start(&code, statement), by: deadline) {
                mysql_stmt_next_result_cont(&code, statement, $0)
            }
            guard code <= 0 else { throw fault(mysql_stmt_errno(statement), mysql_stmt_error(statement)) }
        }
        throw SQLFault(.permanent, "the query has more than \(Self.resultLimit) results")
    }

    private func fetch(_ statement: UnsafeMutablePointer<MYSQL_STMT>, by deadline: Deadline) throws(SQLFault) -> SQLRow?
    {
        let count = Int(mysql_stmt_field_count(statement))
        guard columns.indices.contains(count - 1) else {
            failed = true
            throw SQLFault(.permanent, "the query gives \(count) columns; a server, and perhaps a port, are expected")
        }
        var results = columns.prefix(count).map { $0.bind() }
        guard mysql_stmt_bind_result(statement, &results) == 0 else {
            throw fault(mysql_stmt_errno(statement), mysql_stmt_error(statement))
        }
        var code: Int32 = 0
        try wait(mysql_stmt_fetch_start(&code, statement), by: deadline) { mysql_stmt_fetch_cont(&code, statement, $0) }
        switch code {
        case 0, MYSQL_DATA_TRUNCATED:
            return SQLRow(server: columns[0].value, port: count > 1 ? columns[1].value : nil)
        case MYSQL_NO_DATA: return nil
        default: throw fault(mysql_stmt_errno(statement), mysql_stmt_error(statement))
        }
    }

    /// Carries a non-blocking call to its end.
    /// - Parameters:
    ///   - first: what the call waits for, as its beginning said; 0 where it is through.
    ///   - resume: goes on, with what has happened; again says what it waits for.
    private func wait(_ first: Int32, by deadline: Deadline, _ resume: (Int32) -> Int32) throws(SQLFault) {
        var waits = first
        var late = false
        while waits != 0 {
            var events: Int32 = 0
            if waits & MYSQL_WAIT_READ != 0 { events |= POLLIN }
            if waits & MYSQL_WAIT_WRITE != 0 { events |= POLLOUT }
            let happened = late ? 0 : deadline.wait(mysql_get_socket(mysql), events)
            if happened == 0 {
                // The call has to end, or its stack could not be freed; it takes this for its own timeout.
                late = true
                waits = resume(MYSQL_WAIT_TIMEOUT)
            } else {
                waits = resume(waits & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE))
            }
        }
        if late {
            failed = true
            throw SQLFault(.late, "the database did not answer in time")
        }
    }

    private func fault(_ code: UInt32, _ text: UnsafePointer<CChar>?) -> SQLFault {
        switch code {
        // ER_CANT_AGGREGATE_2COLLATIONS, ER_INVALID_CHARACTER_STRING, ER_TRUNCATED_WRONG_VALUE_FOR_FIELD and MySQL's
        // ER_CANNOT_CONVERT_STRING: characters that the column, or its character set, does not have.
        case 1267, 1300, 1366, 3988: return SQLFault(.impossibleKey, "the key has characters that the column has not")
        // ER_BAD_FIELD_ERROR names the column, which may be a piece of a password that had a colon.
        case 1054: return SQLFault(.temporary, "a column that the options string names does not exist")
        default:
            failed = true
            return SQLFault(.temporary, text.map { String(cString: $0) } ?? "error \(code)")
        }
    }

    private static func orNil(_ text: String) -> String? { text.isEmpty ? nil : text }
}
