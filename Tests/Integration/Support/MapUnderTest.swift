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

/// Every kind of map that the failure tests are run with.
enum MapKind: String, CaseIterable, Sendable {
    case gdbm, bdb, regex, ldap, mysql, postgres

    /// A map of this kind with nobody in it, and whatever server that takes, which ends with it.
    func make() throws -> any MapUnderTest {
        switch self {
        case .gdbm: try GDBMUnderTest()
        case .bdb: try FileUnderTest.bdb()
        case .regex: try FileUnderTest.regex()
        case .ldap: try LDAPUnderTest()
        case .mysql: try SQLUnderTest("mysql", setup: "MySQL")
        case .postgres: try SQLUnderTest("postgres", setup: "Postgres")
        }
    }

    /// Those whose database can be out of reach: expressions are read once.
    static let withDatabase = allCases.filter { $0 != .regex }
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
