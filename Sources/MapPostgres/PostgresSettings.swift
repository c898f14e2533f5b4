import CPQ
import Provider
import SQL

/// What an options string means for PostgreSQL.
struct PostgresSettings: Equatable, Sendable {
    /// A parameter of a connection, as libpq knows it.
    struct Parameter: Equatable, Sendable {
        var key: String
        var value: String
    }

    /// What the log calls the hosts.
    let hostNames: [String]
    /// For each host, in libpq's words. The first may be a database's name that is a connection string itself.
    private let parameters: [[Parameter]]
    private let password: Password
    /// The statement to prepare.
    let statement: String
    /// Whether the name of the database may be a connection string, as it may in the original.
    let expandsName: Bool

    init(_ text: String) throws(ConfigurationError) {
        let isAddress = text.hasPrefix("postgresql://") || text.hasPrefix("postgres://")
        let options: SQLOptions
        if isAddress {
            // Blanks within the address are %20, so the first one ends it; what follows is key=value.
            let address = text.prefix { $0 != " " }
            let pairs = try SQLPair.list(String(text.dropFirst(address.count)))
            options = try SQLOptions(pairs: Self.taken(apart: String(address)) + pairs)
        } else {
            options = try SQLOptions(text, .postgres)
        }
        expandsName = !isAddress && !SQLOptions.isNamed(text)
        statement = try options.statement.text(.postgres)
        hostNames = options.hostNames
        password = options.password
        let common = try Self.common(options)
        var parameters: [[Parameter]] = []
        for host in options.hosts {
            guard host.port.isEmpty || UInt16(host.port) != nil else {
                throw ConfigurationError("the port in the options string is no number up to 65535")
            }
            let place = [Parameter(key: "host", value: host.name), Parameter(key: "port", value: host.port)]
            parameters.append((common + place).filter { !$0.value.isEmpty })
        }
        self.parameters = parameters
    }

    /// What libpq is told to reach a host. The password is the last one, so that it is easily told from the others.
    func parameters(host: Int) -> [Parameter] {
        parameters[host] + (password.text.isEmpty ? [] : [Parameter(key: "password", value: password.text)])
    }

    private static func common(_ options: SQLOptions) throws(ConfigurationError) -> [Parameter] {
        var parameters = [
            Parameter(key: "dbname", value: options.database), Parameter(key: "user", value: options.user),
            Parameter(key: "fallback_application_name", value: "perdition-map-postgres"),
        ]
        let security = options.security
        // Who names an authority wants it asked.
        if let mode = security.mode ?? (security.authorities.isEmpty ? nil : .verify) {
            guard options.others["sslmode"] == nil else {
                throw ConfigurationError("the options string says tls, or ca, and sslmode as well")
            }
            let authorities =
                security.authorities.isEmpty && mode == .verify ? SQLSecurity.systemAuthorities : security.authorities
            parameters += [
                Parameter(key: "sslmode", value: name(mode)), Parameter(key: "sslrootcert", value: authorities),
            ]
        }
        parameters += [
            Parameter(key: "sslcert", value: security.certificate), Parameter(key: "sslkey", value: security.key),
        ]
        let known = keywords()
        for (key, value) in options.others.sorted(by: { $0.key < $1.key }) {
            guard known.contains(key) else {
                throw ConfigurationError(
                    "a key of the options string is unknown; there are table, user_column, server_column, port_column, "
                        + "query, tls, ca, cert and key, and those of libpq's connection strings")
            }
            guard key != "hostaddr" || !value.contains(",") else {
                throw ConfigurationError("hostaddr in the options string is one address; host can be several")
            }
            parameters.append(Parameter(key: key, value: value))
        }
        return parameters
    }

    private static func name(_ mode: SQLSecurity.Mode) -> String {
        switch mode {
        case .off: "disable"
        case .prefer: "prefer"
        case .require: "require"
        case .verify: "verify-full"
        }
    }

    /// The keys that libpq knows.
    private static func keywords() -> Set<String> {
        guard let list = PQconndefaults() else { return [] }
        defer { PQconninfoFree(list) }
        var keys: Set<String> = []
        var entry = list
        while let key = entry.pointee.keyword {
            keys.insert(String(cString: key))
            entry += 1
        }
        return keys
    }

    /// The pairs that a `postgresql://` address stands for.
    private static func taken(apart address: String) throws(ConfigurationError) -> [SQLPair] {
        var message: UnsafeMutablePointer<CChar>?
        // The message is not passed on: it quotes what may be a password.
        defer { PQfreemem(message) }
        guard let list = PQconninfoParse(address, &message) else {
            throw ConfigurationError(
                "the options string is no address as libpq has it, postgresql://user@host/database")
        }
        defer { PQconninfoFree(list) }
        var pairs: [SQLPair] = []
        var entry = list
        while let key = entry.pointee.keyword {
            if let value = entry.pointee.val {
                pairs.append(SQLPair(key: String(cString: key), value: String(cString: value)))
            }
            entry += 1
        }
        return pairs
    }
}
