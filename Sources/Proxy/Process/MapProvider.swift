import Glibc

/// Where lookups go, as `--map_library` says it.
enum MapProvider: Equatable {
    /// Nowhere: `--outgoing_server` serves everybody.
    case none
    /// To a provider that runs already and listens on this Unix socket.
    case running(socket: String)
    /// To a provider that the master starts from this file.
    case program(path: String)

    /// Why there is no such provider; a sentence that names the option and the remedy.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Names the original gave its libraries where ours are called differently.
    private static let names = ["postgresql": "postgres", "posix_regex": "regex"]

    /// Reads the option's value: a short name, a path, the path of one of the original's libraries, `unix:PATH`, or
    /// nothing.
    /// - Parameters:
    ///   - directories: where the providers of short names may be.
    ///   - isProgram: whether a file can be executed.
    static func choose(
        _ library: String, directories: [String], isProgram: (String) -> Bool = { access($0, X_OK) == 0 }
    ) throws(Failure) -> MapProvider {
        if library.isEmpty { return .none }
        if library.hasPrefix("unix:") {
            let path = String(library.dropFirst(5))
            guard path.hasPrefix("/"), path.utf8.count < 108 else {
                throw Failure(
                    description:
                        "--map_library \(library): the path of a socket begins with / and is at most 107 bytes long")
            }
            return .running(socket: path)
        }
        let short: String
        if let name = originalName(library) {
            short = names[name] ?? name
        } else if library.contains("/") {
            guard isProgram(library) else {
                throw Failure(
                    description: "--map_library \(library): there is no program of that name that can be executed")
            }
            return .program(path: library)
        } else {
            short = names[library] ?? library
        }
        for directory in directories {
            let path = "\(directory)/perdition-map-\(short)"
            if isProgram(path) { return .program(path: path) }
        }
        throw Failure(
            description: """
                --map_library \(library): there is no perdition-map-\(short) in \(directories.joined(separator: " or ")); \
                install that provider, or say where it is with --map_provider_dir
                """)
    }

    /// `ldap` for `…/libperditiondb_ldap.so.0`; nil for everything else.
    private static func originalName(_ library: String) -> String? {
        guard let file = library.split(separator: "/").last, file.hasPrefix("libperditiondb_"),
            let end = file.firstIndex(of: ".")
        else { return nil }
        let name = file[..<end].dropFirst("libperditiondb_".count)
        return name.isEmpty ? nil : String(name)
    }
}
