import GDBM
import Lookup
import PopmapFile
import PopmapTable
import Provider

/// The popmap in a GDBM file.
struct GDBMPopmap: Popmap {
    /// Where the file is when no option says so, the original's place.
    static let defaultPath = "/etc/perdition/popmap.gdbm.db"

    private let reader: GDBMReader

    static func configuration(_ options: String, patience: Int) -> GDBMSource {
        let source = GDBMSource(
            path: options.isEmpty ? defaultPath : ServiceDirectory.absolute(options), patience: patience)
        source.prepare()
        return source
    }

    init(_ configuration: GDBMSource) {
        reader = GDBMReader(configuration)
    }

    func lookup(_ key: [UInt8]) -> Answer {
        do {
            guard let value = try reader.fetch(key) else { return .notFound }
            return .found(value)
        } catch {
            return .temporary(error.description)
        }
    }

    func reopen() {
        reader.reopen()
    }

    func table() -> PopmapTableFile? {
        // Lookups say what is wrong with the file.
        try? reader.table(longestKey: Limits.key, longestValue: Limits.value)
    }

    static func withdrawTable(_ configuration: GDBMSource) {
        configuration.withdrawTable()
    }
}
