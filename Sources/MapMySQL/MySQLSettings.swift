import Provider
import SQL

/// What an options string means for MariaDB and MySQL.
struct MySQLSettings: Equatable, Sendable {
    /// One place to connect to.
    struct Host: Equatable, Sendable {
        /// A name or an address.
        var name: String
        /// 0: the client library's.
        var port: UInt32
        /// A Unix socket's path; empty: none, or for `localhost` the client library's.
        var socket: String
    }

    let options: SQLOptions
    let hosts: [Host]
    /// The statement to prepare.
    let statement: String
    let mode: SQLSecurity.Mode

    init(_ text: String) throws(ConfigurationError) {
        let options = try SQLOptions(text, .mysql)
        guard options.others.isEmpty else {
            throw ConfigurationError(
                "a key of the options string is unknown; there are host, port, user, password, dbname, table, "
                    + "user_column, server_column, port_column, query, tls, ca, cert and key")
        }
        var hosts: [Host] = []
        for host in options.hosts {
            // As strtol(3), by which the original reads it: what is no number is the default.
            let digits = host.port.utf8.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            guard let port = digits.isEmpty ? 0 : UInt16(Substring(digits)) else {
                throw ConfigurationError("the port in the options string is beyond 65535")
            }
            let isPath = host.name.hasPrefix("/")
            hosts.append(
                Host(
                    name: isPath || host.name.isEmpty ? "localhost" : host.name, port: UInt32(port),
                    socket: isPath ? host.name : ""))
        }
        self.options = options
        self.hosts = hosts
        statement = try options.statement.text(.mysql)
        // Who names an authority wants it asked.
        mode = options.security.mode ?? (options.security.authorities.isEmpty ? .off : .verify)
    }

    /// The file of authorities for `mode`; nil where none is asked.
    var authorities: String? {
        guard options.security.authorities.isEmpty else { return options.security.authorities }
        return mode == .verify ? SQLSecurity.systemAuthorities : nil
    }
}
