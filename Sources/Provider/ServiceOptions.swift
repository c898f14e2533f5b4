public import ArgumentParser
import CLinux
import Daemon
import Glibc
import Lookup

/// The command line every map provider has.
public struct ServiceOptions: ParsableArguments {
    /// The environment variable that hands over the options string: arguments can be read by every user of the machine.
    public static let mapOptionVariable = "PERDITION_MAP_LIBRARY_OPT"

    /// Path of a Unix socket to make and serve.
    @Option(help: "Serve a Unix socket at this path, besides any inherited ones (LISTEN_FDS).")
    public var socket: String?

    /// Permission bits of that socket, octal.
    @Option(name: .customLong("socket_mode"), help: "Permissions of the socket made by --socket, octal.")
    public var socketMode = "0660"

    /// The options string of the backend.
    @Option(
        name: [.customShort("m"), .customLong("map_library_opt")],
        help: "Where the map is, as its kind has it. Default: $PERDITION_MAP_LIBRARY_OPT, which others cannot read."
    )
    public var mapLibraryOpt: String?

    /// Number of threads that look up.
    @Option(help: "Lookups that run at the same time.")
    public var workers = 4

    /// Seconds a lookup may take.
    @Option(
        name: .customLong("lookup_timeout"),
        help: "Seconds a lookup may take, connecting to the database included; then it is not known at present.")
    public var lookupTimeout = 2.0

    /// Connections held at the same time.
    @Option(help: "Connections held at the same time; beyond, the most idle one is closed.")
    public var connections = 256

    /// The name of the map in requests.
    @Option(name: .customLong("map_name"), help: "The name of the map that requests must give.")
    public var mapName = "popmap"

    /// A key to answer on the terminal.
    @Option(
        help: ArgumentHelp(
            "Look up one key and print its value. Exit status: 0 found, 1 not found, 75 not known at present, 78 failed.",
            valueName: "key"))
    public var query: String?

    /// Where the log goes.
    @Option(
        name: [.customShort("F"), .customLong("log_facility")],
        help: "Facility of syslog, a file's path, - for standard output or + for standard error.")
    public var logFacility = "mail"

    /// Whether details are logged.
    @Flag(name: .shortAndLong, help: "Log details.")
    public var debug = false

    /// What the parser fills in.
    public init() {}

    /// Refuses numbers out of range.
    public func validate() throws {
        guard (1...1024).contains(workers) else { throw ValidationError("--workers is a number from 1 to 1024") }
        guard (0.05...3600).contains(lookupTimeout) else {
            throw ValidationError("--lookup_timeout is a number of seconds from 0.05 to 3600")
        }
        guard (1...65536).contains(connections) else {
            throw ValidationError("--connections is a number from 1 to 65536")
        }
        guard let mode = UInt32(socketMode, radix: 8), mode <= 0o777 else {
            throw ValidationError("--socket_mode is an octal number such as 0660")
        }
        guard !mapName.isEmpty, mapName.utf8.count <= Limits.mapName, !mapName.utf8.contains(UInt8(ascii: " ")) else {
            throw ValidationError("--map_name is a word of at most \(Limits.mapName) bytes")
        }
    }

    /// The options string: from the command line, else the environment; it is wiped from both, which others can see.
    func takeMapOption() -> String {
        ArgumentVector.hide(letter: "m", name: "map_library_opt", flags: "dh")
        let name = Self.mapOptionVariable
        var inherited = ""
        if let value = getenv(name) {
            inherited = String(cString: value)
            linux_wipe(value, strlen(value))
            unsetenv(name)
        }
        return mapLibraryOpt ?? inherited
    }
}
