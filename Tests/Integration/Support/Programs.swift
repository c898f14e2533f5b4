import Foundation
import Glibc

/// Where the programs under test are: `.build/release`, or what PERDITION_BIN_DIR says.
///
/// Another perdition that understands the same command line can be tried with PERDITION_PROGRAM, PERDITION_MAKEGDBM
/// and PERDITION_MAP_LIBRARY.
enum Programs {
    static let perdition = path("perdition", override: "PERDITION_PROGRAM")
    static let makegdbm = path("makegdbm", override: "PERDITION_MAKEGDBM")
    static let authPAM = path("perdition-auth-pam", override: "PERDITION_AUTH_PAM")
    static let gdbmProvider = path("perdition-map-gdbm", override: "PERDITION_MAP_GDBM")

    static let perditionctl = path("perditionctl", override: "PERDITION_CTL")

    /// What goes behind --map_library for GDBM.
    static let mapLibrary = environment["PERDITION_MAP_LIBRARY"] ?? "gdbm"

    /// The top of the source tree.
    static let source: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.path
    }()

    static let binaries = environment["PERDITION_BIN_DIR"] ?? "\(source)/.build/release"

    /// A program that Debian brings.
    ///
    /// - Throws: `Failure` that says how to get it.
    static func debian(_ name: String) throws -> String {
        for folder in ["/usr/bin", "/usr/sbin", "/bin", "/sbin"] where access("\(folder)/\(name)", X_OK) == 0 {
            return "\(folder)/\(name)"
        }
        throw Failure("\(name) is not installed: run `make deps`")
    }

    private static let environment = ProcessInfo.processInfo.environment

    private static func path(_ name: String, override: String) -> Result<String, Failure> {
        let path = environment[override] ?? "\(binaries)/\(name)"
        guard access(path, X_OK) == 0 else {
            return .failure(Failure("\(path) is not there: run `make build`, or `make test` for all of it"))
        }
        return .success(path)
    }
}
