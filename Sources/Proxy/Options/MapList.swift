/// The maps that lookups go to, in their order: `--map_library`, each with its option string.
///
/// Older configurations name one map, and give `--map_library_opt` as often as they like: the last one counts. A list of
/// maps is new, so that it can be told from anything they mean, and there each option string has its place.
struct MapList: Equatable {
    /// One map.
    struct Entry: Equatable {
        /// One element of `--map_library`.
        let library: String
        /// Its `--map_library_opt`.
        let options: String

        /// Whether perdition starts the provider, and tells it what to open.
        var takesOptions: Bool { !library.hasPrefix(MapList.socketPrefix) }
    }

    /// What is wrong, to be read behind the name of the option.
    struct Failure: Error, CustomStringConvertible {
        let option: String
        let description: String
    }

    /// Most maps: each is a process, and one more question for a user whom none knows.
    static let limit = 16
    /// What begins the name of a provider that runs already.
    static let socketPrefix = "unix:"

    let entries: [Entry]

    /// The maps that options name.
    init(_ options: Options) throws(Failure) {
        let libraries = Self.split(options.mapLibrary)
        guard libraries.count > 1 else {
            entries = libraries.map { Entry(library: $0, options: options.mapLibraryOpt.last ?? "") }
            return
        }
        guard libraries.count <= Self.limit else {
            throw Failure(option: "map_library", description: ": there are more than \(Self.limit) maps")
        }
        var strings = options.mapLibraryOpt[...]
        entries = libraries.map { library in
            let isRunning = library.hasPrefix(Self.socketPrefix)
            return Entry(library: library, options: isRunning ? "" : strings.popFirst() ?? "")
        }
        guard strings.isEmpty else {
            throw Failure(
                option: "map_library_opt",
                description: """
                     is given \(options.mapLibraryOpt.count) times for the \(entries.count { $0.takesOptions }) maps \
                    that take one
                    """)
        }
    }

    /// The elements between commas. A path may hold a comma: it is a list only where each part can stand alone.
    private static func split(_ text: String) -> [String] {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
        return parts.allSatisfy(canStandAlone) ? parts : [text]
    }

    private static func canStandAlone(_ part: String) -> Bool {
        if ["/", "./", "../", socketPrefix + "/"].contains(where: part.hasPrefix) { return true }
        return !part.isEmpty && !part.contains("/") && !part.contains(":")
    }
}
