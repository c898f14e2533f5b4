import ArgumentParser
import Provider

/// perdition-map-nis: answers lookups from a map of NIS.
@main
struct MapNIS: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-map-nis",
        abstract: "Answer perdition's lookups from a map of NIS (YP).",
        discussion: """
            The options string (-m) is the name of the map; without one it is \(NISPopmap.defaultMap). The domain is \
            this machine's.
            """)

    @OptionGroup var options: ServiceOptions

    static func main() {
        if LookupChild.isWanted { LookupChild.serve(NISMap.answers) }
        main(nil)
    }

    func run() throws {
        try Service.run(NISPopmap.self, options)
    }
}
