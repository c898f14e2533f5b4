import Glibc

/// Where lookups in one map go, as an element of `--map_library` says it.
enum MapProvider: Equatable {
    /// To a provider that runs already and listens on this Unix socket.
    case running(socket: String)
    /// To a provider that the master starts from this file.
    case program(path: String)

    /// Why there is no such provider; a sentence that names the option and the remedy.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What the files of our providers begin with.
    private static let prefix = "perdition-map-"
    /// Names the original gave its libraries where ours are called differently.
    private static let names = ["postgresql": "postgres", "posix_regex": "regex"]

    /// Reads one element of the option: a short name, a path, the path of one of the original's libraries, or
    /// `unix:PATH`.
    /// - Parameters:
    ///   - directories: where the providers of short names may be.
    ///   - isProgram: whether a file can be executed.
    static func choose(
        _ library: String, directories: [String], isProgram: (String) -> Bool = { access($0, X_OK) == 0 }
    ) throws(Failure) -> MapProvider {
        if library.hasPrefix(MapList.socketPrefix) {
            let path = String(library.dropFirst(MapList.socketPrefix.utf8.count))
            guard path.hasPrefix("/"), path.utf8.count < 108, !path.utf8.contains(where: { $0 < 32 }) else {
                throw Failure(
                    description:
                        "--map_library \(library): the path of a socket begins with / and is at most 107 bytes long")
            }
            return .running(socket: path)
        }
        if originalName(library) == nil, library.contains("/") {
            guard isProgram(library) else {
                throw Failure(
                    description: "--map_library \(library): there is no program of that name that can be executed")
            }
            return .program(path: library)
        }
        let name = originalName(library) ?? library
        let short = names[name] ?? name
        for directory in directories {
            let path = "\(directory)/\(prefix)\(short)"
            if isProgram(path) { return .program(path: path) }
        }
        throw Failure(
            description: """
                --map_library \(library): there is no \(prefix)\(short) in \(directories.joined(separator: " or ")); \
                install that provider, or say where it is with --map_provider_dir
                """)
    }

    /// What kind of map an element means, by the names ours have: `ldap` for that, for the path of our provider and for
    /// that of the original's library; nil for everything else.
    static func shortName(_ library: String) -> String? {
        let file = library.split(separator: "/").last.map(String.init) ?? ""
        if let name = originalName(library) { return names[name] ?? name }
        if file.hasPrefix(prefix) { return String(file.dropFirst(prefix.utf8.count)) }
        return library.contains("/") ? nil : names[library] ?? library
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
