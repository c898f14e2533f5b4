import ArgumentParser
import Provider

/// perdition-map-regex: answers lookups from a list of regular expressions.
@main
struct MapRegex: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-map-regex",
        abstract: "Answer perdition's lookups from a file of regular expressions.",
        discussion: """
            The options string (-m) is the path of the file; without one it is \(RegexPopmap.defaultPath). The file is \
            read at start, and again on SIGHUP.
            """)

    @OptionGroup var options: ServiceOptions

    static func main() {
        if LookupChild.isWanted { LookupChild.serve(RegexPopmap.answers) }
        main(nil)
    }

    func run() throws {
        try Service.run(RegexPopmap.self, options)
    }
}
