import Glibc
import Logging
import Lookup
import Provider

/// The popmap in a directory.
struct LDAPPopmap: Popmap {
    /// Milliseconds after which a connection that nobody used is not trusted: a firewall may have forgotten it.
    private static let rest: Int = 30_000

    private let directory: LDAPDirectory
    /// The connection of the lookup before.
    private var session: LDAPSession?
    private var restsAfter = Deadline(in: 0)
    private let log = Logger(label: "lookup.ldap")

    static func configuration(_ options: String, patience: Int) throws(ConfigurationError) -> LDAPDirectory {
        let location = try LDAPLocation(options)
        if location.extensions.unknown > 0 {
            Logger(label: "lookup.ldap").warning("unknown extensions of the URL are passed over")
        }
        // The library writes with write(2).
        signal(SIGPIPE, SIG_IGN)
        LDAPSession.prepare()
        return LDAPDirectory(location: location, patience: patience)
    }

    init(_ configuration: LDAPDirectory) {
        directory = configuration
    }

    mutating func lookup(_ key: [UInt8]) -> Answer {
        let deadline = Deadline(in: directory.patience)
        do {
            let (entry, more) = try ask(key, by: deadline)
            guard let entry else { return .notFound }
            if more {
                log.warning("several entries match a key; the first is used: \(String(decoding: key, as: UTF8.self))")
            }
            guard let value = entry.value else { return .notFound }
            return .found(value)
        } catch {
            switch error.kind {
            // A key in the DN that names no entry, or cannot name one, is the user's; a DN without is ours.
            case .noSuchEntry where directory.location.base.usesKey: return .notFound
            case .senseless: return .permanent(error.description)
            default: return .temporary(error.description)
            }
        }
    }

    mutating func reopen() {
        session = nil
    }

    /// Asks on the connection there is, else, or where that is of no use any more, server by server.
    private mutating func ask(
        _ key: [UInt8], by deadline: Deadline
    ) throws(LDAPFault) -> (entry: LDAPEntry?, more: Bool) {
        if let session {
            // Time for another try must remain where one is likely to help.
            let hasOther = directory.location.servers.count > 1 || restsAfter.remaining == 0
            do {
                return try ask(session, key, by: deadline.part(of: hasOther ? 2 : 1))
            } catch {
                guard error.kind == .unreachable, deadline.remaining > 0 else { throw error }
                log.debug("the connection is given up: \(error)")
            }
        }
        var servers = directory.location.servers[...]
        var last = LDAPFault(.unreachable, "no server")
        while let server = servers.first {
            let part = deadline.part(of: servers.count)
            do {
                let session = try LDAPSession.open(
                    server, of: directory.location, with: directory.dialer, by: part)
                log.debug("connected to \(server)")
                return try ask(session, key, by: part)
            } catch {
                last = error
            }
            guard last.kind == .unreachable else { break }
            servers.removeFirst()
        }
        throw last
    }

    /// Asks on one connection, and keeps it where it is good for more.
    private mutating func ask(
        _ session: LDAPSession, _ key: [UInt8], by deadline: Deadline
    ) throws(LDAPFault) -> (entry: LDAPEntry?, more: Bool) {
        let location = directory.location
        self.session = nil
        do {
            try session.bind(
                as: location.extensions.bindName?.expand(key) ?? [], location.extensions.password, by: deadline)
            let answer = try session.search(location, for: key, by: deadline)
            keep(session)
            return answer
        } catch {
            if error.kind != .unreachable { keep(session) }
            throw error.at(session.server)
        }
    }

    private mutating func keep(_ session: LDAPSession) {
        self.session = session
        restsAfter = Deadline(in: Self.rest)
    }
}
