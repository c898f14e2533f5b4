import ArgumentParser
import Provider
import SQL

/// perdition-map-postgres: answers lookups from a table of PostgreSQL.
@main
struct MapPostgres: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-map-postgres",
        abstract: "Answer perdition's lookups from a PostgreSQL database.",
        discussion: """
            The options string (-m) is host[,host…]:port:db:table:user:password:servercol:usercol:portcol, from the \
            end of which parts may be left out, or a connection string of libpq, postgresql://… or key='value' …; see \
            the manual page. It may hold a password: the environment is a better place for it than the command line.
            """)

    @OptionGroup var options: ServiceOptions

    func run() throws {
        try Service.run(SQLPopmap<PostgresConnection>.self, options)
    }
}
