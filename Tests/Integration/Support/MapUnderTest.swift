import Foundation
import Glibc

/// A map with its database, as the tests of failures need one. A new kind is a conforming type and a case of `MapKind`.
protocol MapUnderTest: AnyObject {
    /// What goes behind `--map_library`.
    var library: String { get }
    /// What goes behind `--map_library_opt`; read when the database runs.
    var option: String { get }
    /// The file name of its provider.
    var provider: String { get }
    /// Puts users in, and takes out all others: `user` to `[name@]host[:port]`.
    func fill(_ entries: [String: String]) throws
    /// Makes the database unreachable.
    func stopDatabase() throws
    /// Brings it back with what it held.
    func startDatabase() throws
}

/// Every kind of map that the failure tests are run with. NIS has a network of its own in its tests, see MapTests.
enum MapKind: String, CaseIterable, Sendable {
    case gdbm, bdb, regex, ldap, mysql, postgres

    /// Those whose database can be away: the expressions are read at the start.
    static let databases = allCases.filter { $0 != .regex }

    /// A map of this kind with nobody in it, and whatever server that takes, which ends with it.
    func make() throws -> any MapUnderTest {
        switch self {
        case .gdbm: try GDBMUnderTest()
        case .bdb:
            try FileUnderTest(self, "popmap.bdb.db") { path, entries in
                let lines = entries.map { "\($0.key):\($0.value)\n" }.joined()
                let (status, output) = try ChildProcess.run("\(Programs.binaries)/makebdb", [path], input: lines)
                guard status == 0 else { throw Failure("makebdb: \(status): \(output)") }
            }
        case .regex:
            try FileUnderTest(self, "popmap.re") { path, entries in
                let lines = entries.map { "^\($0.key)$: \($0.value)\n" }.joined()
                try Data(lines.utf8).write(to: URL(fileURLWithPath: path))
            }
        case .ldap: try LDAPUnderTest()
        case .mysql: try SQLUnderTest(self, folder: "MySQL", table: "dbPerdition.tblPerdition", column: "user")
        case .postgres: try SQLUnderTest(self, folder: "Postgres", table: "tblPerdition", column: "\"user\"")
        }
    }
}

/// The file is the database: it is gone, and back.
final class GDBMUnderTest: MapUnderTest {
    private let popmap: Popmap
    let library = Programs.mapLibrary
    let provider = "perdition-map-gdbm"
    var option: String { popmap.path }

    init() throws {
        popmap = try Popmap()
    }

    func fill(_ entries: [String: String]) throws {
        try popmap.replace(with: entries.map { "\($0.key):\($0.value)" })
    }

    func stopDatabase() throws {
        guard rename(popmap.path, "\(popmap.path).away") == 0 else { throw Failure.system("rename") }
    }

    func startDatabase() throws {
        guard rename("\(popmap.path).away", popmap.path) == 0 else { throw Failure.system("rename") }
    }
}
