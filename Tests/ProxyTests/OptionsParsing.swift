import Testing

@testable import Proxy

/// Parses `arguments` with a configuration file `/c.conf`; `all` makes every option available.
func parseOptions(
    _ arguments: [String], file: String? = nil, program: String = "perdition", all: Bool = true
) throws(OptionError) -> Options {
    let parser = OptionParser(
        list: all ? OptionList.all.map(\.available) : OptionList.all, directory: "/",
        files: OptionFiles { path in path == "/c.conf" ? .bytes(Array((file ?? "").utf8)) : .absent })
    let source = file == nil ? [] : ["-f", "/c.conf"]
    guard case .serve(let options, _) = try parser.parse([program] + source + arguments) else {
        throw OptionError("it prints instead of serving")
    }
    return options
}

extension OptionDeclaration {
    /// The same option as it will be once it works.
    var available: OptionDeclaration {
        OptionDeclaration(
            name, letter, kind, section, help, default: defaultNote, replacement: replacement, .working)
    }
}
