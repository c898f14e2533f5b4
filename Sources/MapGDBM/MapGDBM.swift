import ArgumentParser
import Provider

/// perdition-map-gdbm: answers lookups from a GDBM file.
@main
struct MapGDBM: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-map-gdbm",
        abstract: "Answer perdition's lookups from a GDBM file made by makegdbm.",
        discussion: """
            The options string (-m) is the path of the file; without one it is \(GDBMPopmap.defaultPath). The file may \
            be rebuilt at any time.
            """)

    @OptionGroup var options: ServiceOptions

    func run() throws {
        try Service.run(GDBMPopmap.self, options)
    }
}
