import Foundation
import Glibc

/// A proxy with a control socket, and what asks there.
final class Controlled {
    let proxy: Perdition
    let socket: String
    private let directory: TemporaryDirectory

    /// Starts a proxy; options as for `Perdition`.
    init(
        _ flavour: Flavour = .imap4, popmap: Popmap? = nil, _ options: [String] = [],
        configuration: Configuration? = nil, environment: [String: String] = [:]
    ) throws {
        directory = try TemporaryDirectory()
        socket = directory.file("control")
        proxy = try Perdition(
            flavour, popmap: popmap, ["--control_socket", socket] + options, environment: environment,
            configuration: configuration)
    }

    /// Runs perditionctl.
    func ctl(_ words: String...) throws -> (status: Int32, output: String) {
        try ChildProcess.run(Programs.perditionctl.get(), words + ["--socket", socket])
    }

    /// Rows of an answer in JSON.
    func rows(_ words: String...) throws -> [[String: Any]] {
        let (status, output) = try ChildProcess.run(
            Programs.perditionctl.get(), words + ["--socket", socket, "--json"])
        guard status == 0, let rows = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [[String: Any]]
        else { throw Failure("\(words): \(status) \(output)") }
        return rows
    }

    /// The numbers of `stats`.
    func stats() throws -> [String: Any] {
        let (status, output) = try ctl("stats", "--json")
        guard status == 0, let stats = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
        else { throw Failure("stats: \(status) \(output)") }
        return stats
    }

    /// One number of `stats`.
    func stat(_ name: String) throws -> Int {
        guard let number = try stats()[name] as? Int else { throw Failure("no number \(name)") }
        return number
    }

    /// Sends a line over the socket itself, and reads all that comes.
    func ask(_ line: String) throws -> String {
        let connection = try UnixConnection(socket)
        try connection.send(line + "\n")
        return try connection.restText()
    }
}

/// A connection to a Unix socket.
final class UnixConnection: Connection {
    init(_ path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw Failure.system("socket") }
        super.init(descriptor: descriptor)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure.system("connect to \(path)") }
    }
}
