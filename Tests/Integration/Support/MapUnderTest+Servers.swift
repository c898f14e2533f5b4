import Foundation
import Glibc

/// A map in a file that is neither GDBM's nor a server's.
final class FileUnderTest: MapUnderTest {
    let library: String
    var provider: String { "perdition-map-\(library)" }
    var option: String { directory.file("popmap") }
    private let directory: TemporaryDirectory
    private let write: (_ path: String, _ entries: [String: String]) throws -> Void

    private init(_ library: String, _ write: @escaping (String, [String: String]) throws -> Void) throws {
        self.library = library
        self.write = write
        directory = try TemporaryDirectory()
    }

    /// A Berkeley DB file.
    static func bdb() throws -> FileUnderTest {
        try FileUnderTest("bdb") { path, entries in
            let lines = entries.map { "\($0.key):\($0.value)\n" }.joined()
            let (status, output) = try ChildProcess.run("\(Programs.binaries)/makebdb", [path], input: lines)
            guard status == 0 else { throw Failure("makebdb: \(output)") }
        }
    }

    /// A list of expressions.
    static func regex() throws -> FileUnderTest {
        try FileUnderTest("regex") { path, entries in
            let lines = entries.map { "^\($0.key)$: \($0.value)\n" }.joined()
            try Data(lines.utf8).write(to: URL(fileURLWithPath: path))
        }
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

/// A directory in a slapd of its own.
final class LDAPUnderTest: MapUnderTest {
    let library = "ldap"
    let provider = "perdition-map-ldap"
    let option: String
    private static let setup = "\(Programs.source)/Tests/MapTests/LDAP/setup"
    private let directory: TemporaryDirectory
    private let port: UInt16
    private var server: ChildProcess?

    init() throws {
        directory = try TemporaryDirectory()
        let (status, output) = try ChildProcess.run(Self.setup, ["prepare", directory.file("slapd"), "--no-tls"])
        guard status == 0 else { throw Failure("slapd: \(output)") }
        option = output.trimmingCharacters(in: .newlines)
        let text = directory.text("slapd/port").trimmingCharacters(in: .newlines)
        guard let port = UInt16(text) else { throw Failure("no port: \(text)") }
        self.port = port
        try startDatabase()
    }

    func fill(_ entries: [String: String]) throws {
        let base = "ou=mailbox,dc=nodomain"
        let login = ["-x", "-D", "cn=admin,dc=nodomain", "-w", "secret", "-H", "ldap://127.0.0.1:\(port)"]
        for user in Set(entries.keys).union(["joe"]) {
            // It is there, or is not.
            _ = try ChildProcess.run(Programs.debian("ldapdelete"), login + ["uid=\(user),\(base)"])
        }
        let ldif = entries.map { user, value in
            let parts = value.split(separator: ":")
            return """
                dn: uid=\(user),\(base)
                objectClass: perditionPopmap
                uid: \(user)
                mailhost: \(parts[0])
                \(parts.count > 1 ? "port: \(parts[1])\n" : "")

                """
        }.joined(separator: "\n")
        let (status, output) = try ChildProcess.run(Programs.debian("ldapadd"), login, input: ldif)
        guard status == 0 else { throw Failure("ldapadd: \(output)") }
    }

    func stopDatabase() throws {
        server?.end()
        server = nil
    }

    func startDatabase() throws {
        let server = try ChildProcess(Self.setup, ["serve", directory.file("slapd")], log: directory.file("log"))
        try server.waitUntilListening(on: port)
        self.server = server
    }
}

/// A table in a MariaDB or a PostgreSQL of its own.
final class SQLUnderTest: MapUnderTest {
    let library: String
    var provider: String { "perdition-map-\(library)" }
    let option: String
    private let directory: TemporaryDirectory
    private let script: String

    /// - Parameter setup: the folder of the script that knows this kind of server.
    init(_ library: String, setup: String) throws {
        self.library = library
        script = "\(Programs.source)/Tests/MapTests/\(setup)/setup"
        directory = try TemporaryDirectory()
        let (status, output) = try ChildProcess.run(
            script, ["start", directory.file("db"), "--rows", "10", "--with", "\(getpid())"], within: 300)
        guard status == 0 else { throw Failure("\(script): \(output)") }
        option = output.trimmingCharacters(in: .newlines)
    }

    deinit {
        _ = try? run("kill")
    }

    private func run(_ action: String, input: String = "") throws {
        let (status, output) = try ChildProcess.run(
            script, [action, directory.file("db")], input: input, within: 300)
        guard status == 0 else { throw Failure("\(script) \(action): \(output)") }
    }

    func fill(_ entries: [String: String]) throws {
        let values = entries.map { user, value in
            let parts = value.split(separator: ":")
            return "('\(user)', '\(parts[0])', \(parts.count > 1 ? "'\(parts[1])'" : "NULL"))"
        }
        try run(
            "sql",
            input: """
                \(library == "mysql" ? "USE dbPerdition;" : "")
                DELETE FROM tblPerdition;
                INSERT INTO tblPerdition VALUES \(values.joined(separator: ", "));
                """)
    }

    func stopDatabase() throws { try run("stop") }

    func startDatabase() throws { try run("start") }
}
