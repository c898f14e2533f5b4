import Lookup
import PopmapFile
import Provider

/// The popmap in a file of regular expressions.
///
/// glibc's matcher can take minutes and gigabytes on a few hundred bytes that somebody chose, back-references above
/// all, and nothing can interrupt it. So each worker has keys matched in a process that can be killed.
struct RegexPopmap: Popmap {
    /// Where the file is when no option says so, the original's place.
    static let defaultPath = "/etc/perdition/popmap.re"

    struct Configuration: Sendable {
        let source: RegexSource
        let patience: Int
    }

    private let configuration: Configuration
    private var known: RegexSource.Rules?
    private var process: LookupProcess?

    static func configuration(_ options: String, patience: Int) -> Configuration {
        let source = RegexSource(path: options.isEmpty ? defaultPath : ServiceDirectory.absolute(options))
        source.read()
        return Configuration(source: source, patience: patience)
    }

    init(_ configuration: Configuration) {
        self.configuration = configuration
    }

    mutating func lookup(_ key: [UInt8]) -> Answer {
        let rules: RegexSource.Rules
        do {
            rules = try configuration.source.current()
        } catch {
            return .temporary(error.description)
        }
        let usable: LookupProcess
        if let process, known?.reading == rules.reading {
            usable = process
        } else {
            process?.end()
            usable = LookupProcess(setup: rules.text)
            process = usable
            known = rules
        }
        return usable.lookup(key, patience: configuration.patience)
    }

    mutating func reopen() {
        configuration.source.read(after: known)
    }

    /// What the process does that a worker starts: it matches.
    /// - Parameter text: the file, which the worker has found good.
    static func answers(_ text: [UInt8]) -> ([UInt8]) -> Answer {
        do {
            let list = try RegexList(text)
            return { list.lookup($0) }
        } catch {
            let reason = "\(error)"
            return { _ in .temporary(reason) }
        }
    }
}
