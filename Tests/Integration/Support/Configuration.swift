import Foundation

/// A configuration file that a test changes while it is in use, and the port that is in it.
final class Configuration {
    let port: UInt16
    let directory: TemporaryDirectory

    /// - Parameter lines: All of it but address and port.
    init(_ lines: [String]) throws {
        directory = try TemporaryDirectory()
        port = try FreePort.next()
        try replace(with: lines)
    }

    var path: String { directory.file("perdition.conf") }

    /// Writes it anew.
    /// - Parameter place: What stands for address and port, where they are to change.
    func replace(with lines: [String], place: [String]? = nil) throws {
        let text = (place ?? ["bind_address 127.0.0.1", "listen_port \(port)"]) + lines
        try directory.write(text.map { $0 + "\n" }.joined(), to: "perdition.conf")
    }
}
