import ArgumentParser
import Provider
import SQL

/// perdition-map-mysql: answers lookups from a table of MariaDB or MySQL.
@main
struct MapMySQL: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-map-mysql",
        abstract: "Answer perdition's lookups from a MariaDB or MySQL database.",
        discussion: """
            The options string (-m) is host[,host…]:port:db:table:user:password:servercol:usercol:portcol, from the \
            end of which parts may be left out, or key='value' …; see the manual page. It may hold a password: the \
            environment is a better place for it than the command line.
            """)

    @OptionGroup var options: ServiceOptions

    func run() throws {
        try Service.run(SQLPopmap<MySQLConnection>.self, options)
    }
}
