import CLinux
import Foundation
import Lookup
import Testing

/// The databases that have a provider.
enum Database: String, CaseIterable, CustomTestStringConvertible {
    case mysql = "MySQL"
    case postgres = "Postgres"

    var testDescription: String { rawValue }

    /// The provider.
    var program: String {
        "\(Tool.products)/perdition-map-\(self == .mysql ? "mysql" : "postgres")"
    }

    /// The original's library for it.
    var original: String {
        "/usr/lib/x86_64-linux-gnu/libperditiondb_\(self == .mysql ? "mysql" : "postgresql").so.0"
    }

    /// The name of the database, as `setup` makes it.
    var name: String { self == .mysql ? "dbPerdition" : "dbperdition" }

    static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path

    /// One answer on the terminal.
    func query(_ options: String, _ key: String) throws -> Outcome {
        try Scratch().run(
            program, ["--query", key, "--lookup_timeout", "20"], environment: ["PERDITION_MAP_LIBRARY_OPT": options])
    }

    /// Servers that live as long as the tests: to make one takes seconds.
    enum Place {
        /// It has 100,000 users and always runs; each test brings a table of its own.
        case calm
        /// It has 100 users; one test at a time may stop it.
        case first
        /// It has 200 users.
        case second
    }

    private static let servers = Servers()

    /// The server that is never stopped.
    func running() async throws -> DatabaseServer {
        try await Self.servers.server(self, .calm)
    }

    /// A server that the test may stop; it runs, whatever the test before has done.
    func restless(_ place: Place = .first) async throws -> DatabaseServer {
        let server = try await Self.servers.server(self, place)
        try server.setup("resume")
        try server.setup("start")
        return server
    }

    private actor Servers {
        private var servers: [String: DatabaseServer] = [:]

        func server(_ kind: Database, _ place: Place) throws -> DatabaseServer {
            if let server = servers["\(kind) \(place)"] { return server }
            let rows = [Place.calm: 100_000, .first: 100, .second: 200][place] ?? 0
            let server = try DatabaseServer(kind, rows: rows)
            servers["\(kind) \(place)"] = server
            return server
        }
    }
}

/// A real database server, which ends with the test, or with the process if the test crashes.
final class DatabaseServer: Sendable {
    let kind: Database
    /// The original's form, in full.
    let options: String
    private let scratch: Scratch
    let port: String

    init(_ kind: Database, rows: Int) throws {
        self.kind = kind
        scratch = try Scratch()
        try Tool.require(kind.program)
        // The server's account has to get in.
        try #require(chmod(scratch.path, 0o755) == 0)
        let outcome = try scratch.run(
            "\(Database.sources)/\(kind.rawValue)/setup",
            ["start", scratch.file("db"), "--rows", "\(rows)", "--with", "\(getpid())"])
        try #require(outcome.status == 0, "\(outcome.errors)")
        options = outcome.output.trimmingCharacters(in: .newlines)
        port = try String(contentsOfFile: scratch.file("db/port"), encoding: .utf8)
    }

    deinit {
        _ = try? setup("kill")
    }

    /// A file of the server's, such as its socket or `ca.pem`.
    func file(_ name: String) -> String { scratch.file("db/\(name)") }

    /// Where its Unix socket is, as the host of an options string.
    var socket: String { kind == .mysql ? file("socket") : file("") }

    /// Stops, kills, pauses, resumes it.
    @discardableResult func setup(_ action: String, input: String = "") throws -> String {
        let outcome = try scratch.run(
            "\(Database.sources)/\(kind.rawValue)/setup", [action, file("")], input: input)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.output
    }

    /// Runs SQL as the administrator.
    @discardableResult func sql(_ text: String) throws -> String {
        try setup("sql", input: kind == .mysql ? "USE dbPerdition;\n\(text)" : text)
    }

    /// Makes a table that the provider's user may read.
    func table(_ name: String, _ columns: String, rows: String...) throws {
        let values = rows.isEmpty ? "" : "INSERT INTO \(name) VALUES \(rows.joined(separator: ","));"
        let grant = kind == .mysql ? "" : "GRANT SELECT ON \(name) TO perdition;"
        try sql("CREATE TABLE \(name) (\(columns)); \(values) \(grant)")
    }

    /// An options string with keys: the connection, and what else is given.
    func pairs(_ rest: String, host: String = "127.0.0.1", password: String = "perdition") -> String {
        "host=\(host) port=\(port) dbname=\(kind.name) user=perdition password='\(password)' \(rest)"
    }
}

/// A provider in front of a server, and a directory for it.
final class DatabaseProvider: Sendable {
    let scratch: Scratch
    let program: Program
    private let socket: String

    /// - Parameter seconds: how long a lookup may take: what is expected at once comes late on a busy machine.
    init(_ kind: Database, _ options: String, _ arguments: [String] = [], seconds: Double = 20) async throws {
        scratch = try Scratch()
        socket = scratch.file("socket")
        try scratch.write("", to: "log")
        let log = try FileHandle(forWritingTo: URL(fileURLWithPath: scratch.file("log")))
        program = try Program(
            kind.program, ["--socket", "socket", "-F", "+", "--lookup_timeout", "\(seconds)"] + arguments,
            in: scratch.path,
            environment: ["PERDITION_MAP_LIBRARY_OPT": options], errors: log)
        let running = program
        let path = socket
        try await eventually("the provider") { !running.isRunning || RawClient(path) != nil }
    }

    deinit { program.stop() }

    /// One answer; the client is more patient than any provider.
    func ask(_ key: String) throws -> Answer {
        guard var client = BlockingClient(path: socket, seconds: 60) else { throw POSIXError(.ECONNREFUSED) }
        return client.lookUp(Array(key.utf8))
    }

    /// What it has logged.
    var log: String { (try? String(contentsOfFile: scratch.file("log"), encoding: .utf8)) ?? "" }
}
