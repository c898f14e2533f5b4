import ArgumentParser
import Provider

/// perdition-map-ldap: answers lookups from an LDAP directory.
@main
struct MapLDAP: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-map-ldap",
        abstract: "Answer perdition's lookups from an LDAP directory.",
        discussion: """
            The options string (-m) is [version:]URL; without one it is \(LDAPLocation.defaultURL). %s in the URL's DN \
            and filter stands for the key; its attributes are the user, the server and the port.
            """)

    @OptionGroup var options: ServiceOptions

    func run() throws {
        try Service.run(LDAPPopmap.self, options)
    }
}
