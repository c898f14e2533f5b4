import Testing

@testable import Proxy

/// Parses `arguments` with a configuration file `/c.conf`.
func parseOptions(
    _ arguments: [String], file: String? = nil, program: String = "perdition"
) throws(OptionError) -> Options {
    let parser = OptionParser(
        list: OptionList.all, directory: "/",
        files: OptionFiles { path in path == "/c.conf" ? .bytes(Array((file ?? "").utf8)) : .absent })
    let source = file == nil ? [] : ["-f", "/c.conf"]
    guard case .serve(let options, _) = try parser.parse([program] + source + arguments) else {
        throw OptionError("it prints instead of serving")
    }
    return options
}
