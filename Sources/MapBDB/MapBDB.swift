import ArgumentParser
import Provider

/// perdition-map-bdb: answers lookups from a Berkeley DB file.
@main
struct MapBDB: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-map-bdb",
        abstract: "Answer perdition's lookups from a Berkeley DB file, such as makebdb makes.",
        discussion: """
            The options string (-m) is the path of the file; without one it is \(BDBPopmap.defaultPath). The file may \
            be rebuilt at any time.
            """)

    @OptionGroup var options: ServiceOptions

    func run() throws {
        try Service.run(BDBPopmap.self, options)
    }
}
