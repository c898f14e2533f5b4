import Lookup
import Provider

/// The popmap in a map of NIS.
///
/// The client library waits for up to 40 seconds for a server that is away, and has no option to wait less. So each
/// worker has it called in a process that can be killed.
struct NISPopmap: Popmap {
    /// The map's name when no option says so, as in the original.
    static let defaultMap = "user_mail_server"
    /// Bytes of a map's name, `YPMAXMAP` of the protocol.
    private static let nameLimit = 64

    struct Configuration: Sendable {
        let map: String
        let patience: Int
    }

    private let patience: Int
    private let process: LookupProcess

    static func configuration(_ options: String, patience: Int) throws(ConfigurationError) -> Configuration {
        guard options.utf8.count <= nameLimit else {
            throw ConfigurationError("the name of a NIS map has at most \(nameLimit) bytes")
        }
        return Configuration(map: options.isEmpty ? defaultMap : options, patience: patience)
    }

    init(_ configuration: Configuration) {
        patience = configuration.patience
        process = LookupProcess(setup: Array(configuration.map.utf8))
    }

    func lookup(_ key: [UInt8]) -> Answer {
        if key.isEmpty || NISMap.isReserved(key) { return .notFound }
        return process.lookup(key, patience: patience)
    }

    func reopen() {
        // Domain and server are asked for anew.
        process.end()
    }
}
