import Logging
public import Lookup
public import Provider

/// The popmap in a database with one host or several.
///
/// The connection stays from one lookup to the next. When it is lost, the hosts are tried in order, each with its share
/// of the time; a connection to another host than the first lasts until the first is back.
public struct SQLPopmap<Connection: SQLConnection>: Popmap {
    /// What the workers share.
    public struct Configuration: Sendable {
        /// As the options string has it.
        public var settings: Connection.Settings
        /// Milliseconds a lookup may take.
        public var patience: Int

        /// What the workers share.
        public init(settings: Connection.Settings, patience: Int) {
            self.settings = settings
            self.patience = patience
        }
    }

    /// Milliseconds after which a preferred host is tried again.
    private static var retryPause: Int { 10_000 }
    /// Milliseconds after which an unused connection may be dead without anybody knowing: something between the two
    /// ends forgets those it has seen nothing of for long.
    private static var quietPeriod: Int { 60_000 }

    private let settings: Connection.Settings
    private let patience: Int
    private let hosts: [String]
    private let log = Logger(label: "lookup.sql")

    private var connection: Connection?
    /// The host it leads to.
    private var current = 0
    /// When it is no longer sure that it is alive.
    private var trusted = Deadline(milliseconds: 0)
    /// By host; at most one each, so that a host that hangs does not cost more than one thread.
    private var attempts: [Attempt<Connection>?]
    /// When preferred hosts are to be tried again.
    private var retry = Deadline(milliseconds: 0)

    /// Reads the options string.
    public static func configuration(
        _ options: String, patience: Int
    ) throws(ConfigurationError) -> Configuration {
        Configuration(settings: try Connection.settings(options), patience: patience)
    }

    /// Connects when it is first asked.
    public init(_ configuration: Configuration) {
        settings = configuration.settings
        patience = configuration.patience
        hosts = Connection.hosts(configuration.settings)
        attempts = hosts.map { _ in nil }
    }

    /// Looks a key up, on the connection there is, and if that fails on a new one.
    public mutating func lookup(_ key: [UInt8]) -> Answer {
        let deadline = Deadline(milliseconds: patience)
        preferEarlierHost()
        var order = Array(hosts.indices)
        if let connection {
            // A connection that may be dead has to leave time for another one.
            let doubtful = hosts.count > 1 || trusted.isOver
            let limit = doubtful ? Deadline(milliseconds: patience / 2) : deadline
            do throws(SQLFault) {
                return answer(try connection.row(key, by: limit))
            } catch {
                if error.kind == .impossibleKey { return answer(nil) }
                self.connection = nil
                if error.kind == .permanent { return .permanent(error.text) }
                if error.kind == .late {
                    if deadline.isOver { return .temporary(error.text) }
                    order.append(order.remove(at: current))
                }
            }
        }
        do throws(SQLFault) {
            let connection = try connect(order, by: deadline)
            self.connection = connection
            return answer(try connection.row(key, by: deadline))
        } catch {
            if error.kind == .impossibleKey { return answer(nil) }
            connection = nil
            return error.kind == .permanent ? .permanent(error.text) : .temporary(error.text)
        }
    }

    /// Lets go of the connection; the next lookup makes one, to the first host that can be had.
    public mutating func reopen() {
        connection = nil
        attempts = hosts.map { _ in nil }
    }

    private mutating func answer(_ row: SQLRow?) -> Answer {
        trusted = Deadline(milliseconds: Self.quietPeriod)
        guard let value = row?.value(word: Connection.cutsAtBlank) else { return .notFound }
        guard value.count <= SQLLimits.value else { return .permanent("the value is longer than one may be") }
        return .found(value)
    }

    /// The first connection that can be had in time. A host that does not answer within its share is left to its
    /// thread, and asked for again by the next lookup that needs a connection.
    private mutating func connect(_ order: [Int], by deadline: Deadline) throws(SQLFault) -> Connection {
        var faults: [String] = []
        for (place, host) in order.enumerated() {
            let share = Deadline(milliseconds: deadline.remaining / (order.count - place))
            switch try connection(to: host, by: share) {
            case .success(let connection):
                use(connection, to: host)
                if host > 0, !faults.isEmpty {
                    log.notice("connected to \(hosts[host]): \(faults.joined(separator: "; "))")
                }
                return connection
            case .failure(let fault): faults.append("\(hosts[host]): \(fault.text)")
            case nil: faults.append("\(hosts[host]): no connection in time")
            }
        }
        throw SQLFault(.temporary, faults.joined(separator: "; "))
    }

    private mutating func connection(
        to host: Int, by deadline: Deadline
    ) throws(SQLFault) -> Result<Connection, SQLFault>? {
        // One that was left behind by an earlier lookup may have failed since: that says nothing of now.
        if let earlier = attempts[host] {
            guard let outcome = earlier.wait(by: deadline) else { return nil }
            attempts[host] = nil
            if case .success = outcome { return outcome }
        }
        let attempt = try begin(host)
        guard let outcome = attempt.wait(by: deadline) else { return nil }
        attempts[host] = nil
        return outcome
    }

    private mutating func begin(_ host: Int) throws(SQLFault) -> Attempt<Connection> {
        let attempt = try Attempt<Connection>(settings, host: host, by: Deadline(milliseconds: patience))
        attempts[host] = attempt
        return attempt
    }

    private mutating func use(_ connection: Connection, to host: Int) {
        self.connection = connection
        current = host
        attempts = hosts.map { _ in nil }
        retry = Deadline(milliseconds: Self.retryPause)
    }

    /// Goes back to a host that stands ahead of the present one, once a connection to it has been made in the
    /// background.
    private mutating func preferEarlierHost() {
        guard connection != nil, current > 0 else { return }
        for host in 0..<current {
            guard let outcome = attempts[host]?.wait(by: Deadline(milliseconds: 0)) else { continue }
            attempts[host] = nil
            guard case .success(let connection) = outcome else { continue }
            log.notice("back to \(hosts[host])")
            return use(connection, to: host)
        }
        guard retry.isOver else { return }
        retry = Deadline(milliseconds: Self.retryPause)
        for host in 0..<current where attempts[host] == nil {
            // A failure is of no interest: the present connection works.
            do throws(SQLFault) {
                _ = try begin(host)
            } catch {
                log.debug("\(hosts[host]): \(error.text)")
            }
        }
    }
}
