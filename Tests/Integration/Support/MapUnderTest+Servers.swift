import Foundation
import Glibc

/// A file that is the database: it is gone, and back.
final class FileUnderTest: MapUnderTest {
    let library: String
    let provider: String
    let option: String
    private let directory: TemporaryDirectory
    private let write: (String, [String: String]) throws -> Void

    init(_ kind: MapKind, _ name: String, _ write: @escaping (String, [String: String]) throws -> Void) throws {
        library = kind.rawValue
        provider = "perdition-map-\(kind.rawValue)"
        directory = try TemporaryDirectory()
        option = directory.file(name)
        self.write = write
        try fill([:])
    }

    func fill(_ entries: [String: String]) throws {
        try write(option, entries)
        chmod(option, 0o644)
    }

    func stopDatabase() throws {
        guard rename(option, "\(option).away") == 0 else { throw Failure.system("rename") }
    }

    func startDatabase() throws {
        guard rename("\(option).away", option) == 0 else { throw Failure.system("rename") }
    }
}

/// What the scripts that set servers up have in common.
private enum Setup {
    static func path(_ folder: String) -> String { "\(Programs.source)/Tests/MapTests/\(folder)/setup" }

    /// Runs a step and returns what it printed.
    static func run(_ folder: String, _ arguments: [String], input: String? = nil) throws -> String {
        let (status, output) = try ChildProcess.run(path(folder), arguments, input: input)
        guard status == 0 else { throw Failure("\(path(folder)) \(arguments): \(status): \(output)") }
        return output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// A slapd of its own.
final class LDAPUnderTest: MapUnderTest {
    let library = "ldap"
    let provider = "perdition-map-ldap"
    let option: String
    private let directory = try? TemporaryDirectory()
    private let place: String
    private var server: ChildProcess?
    private var users: [String] = []

    init() throws {
        guard let directory else { throw Failure("no temporary directory") }
        place = directory.file("ldap")
        option = try Setup.run("LDAP", ["prepare", place, "--no-tls"])
        try startDatabase()
    }

    deinit { server?.end() }

    func fill(_ entries: [String: String]) throws {
        var changes = users.map { "dn: uid=\($0),ou=mailbox,dc=nodomain\nchangetype: delete\n\n" }
        for (user, value) in entries {
            let parts = value.split(separator: ":")
            changes.append(
                """
                dn: uid=\(user),ou=mailbox,dc=nodomain
                changetype: add
                objectClass: perditionPopmap
                uid: \(user)
                mailhost: \(parts.first ?? "")
                \(parts.dropFirst().first.map { "port: \($0)\n" } ?? "")

                """)
        }
        users = Array(entries.keys)
        let arguments = ["-x", "-H", "ldap://127.0.0.1:\(try port)", "-D", "cn=admin,dc=nodomain", "-w", "secret"]
        let (status, output) = try ChildProcess.run(
            Programs.debian("ldapmodify"), arguments, input: changes.joined())
        guard status == 0 else { throw Failure("ldapmodify: \(status): \(output)") }
    }

    func stopDatabase() throws {
        server?.end()
        server = nil
    }

    func startDatabase() throws {
        let server = try ChildProcess(Setup.path("LDAP"), ["serve", place], log: "\(place)/serve.log")
        try server.waitUntilListening(on: port)
        self.server = server
    }

    private var port: UInt16 {
        get throws {
            let text = try String(contentsOfFile: "\(place)/port", encoding: .utf8)
            guard let port = UInt16(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw Failure("no port: \(text)")
            }
            return port
        }
    }
}

/// A MariaDB or PostgreSQL server of its own, which ends with the process of the tests whatever happens.
final class SQLUnderTest: MapUnderTest {
    let library: String
    let provider: String
    let option: String
    private let folder: String
    private let table: String
    private let column: String
    private let directory: TemporaryDirectory
    private var place: String { directory.file("server") }

    init(_ kind: MapKind, folder: String, table: String, column: String) throws {
        library = kind.rawValue
        provider = "perdition-map-\(kind.rawValue)"
        directory = try TemporaryDirectory()
        (self.folder, self.table, self.column) = (folder, table, column)
        option = try Setup.run(
            folder, ["start", directory.file("server"), "--rows", "1", "--with", "\(getpid())"])
    }

    deinit { _ = try? Setup.run(folder, ["stop", place]) }

    func fill(_ entries: [String: String]) throws {
        var text = "DELETE FROM \(table);\n"
        for (user, value) in entries {
            text += "INSERT INTO \(table) (\(column), servername) VALUES ('\(user)', '\(value)');\n"
        }
        _ = try Setup.run(folder, ["sql", place], input: text)
    }

    func stopDatabase() throws {
        _ = try Setup.run(folder, ["stop", place])
    }

    func startDatabase() throws {
        _ = try Setup.run(folder, ["start", place])
    }
}
