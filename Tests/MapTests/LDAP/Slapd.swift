import CLinux
import Foundation
import Lookup
import Testing

/// OpenLDAP's server with a directory of its own, which goes with the test.
final class Slapd {
    static let query = "ou=mailbox,dc=nodomain?username,mailhost,port?one?(uid=%s)"
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
    static let provider = "\(Tool.products)/perdition-map-ldap"

    let scratch: Scratch
    let port: Int
    let tlsPort: Int
    private(set) var program: Program?

    /// Fills a directory, and starts it.
    /// - Parameters:
    ///   - ldif: entries besides those of `docs/examples/ldap/popmap.ldif`.
    ///   - entries: user0, user1 … besides.
    ///   - config: lines for slapd.conf.
    init(ldif: String = "", entries: Int = 0, config: [String] = [], tls: Bool = true) async throws {
        try Tool.require(Self.provider, "/usr/sbin/slapd", "/usr/sbin/slapadd", "/usr/bin/openssl")
        scratch = try Scratch()
        try scratch.write(ldif, to: "more.ldif")
        var arguments = ["prepare", scratch.file("slapd"), "--entries", "\(entries)"]
        arguments += ["--ldif", scratch.file("more.ldif")] + config.flatMap { ["--config", $0] }
        let made = try scratch.run("\(Self.folder)/setup", arguments + (tls ? [] : ["--no-tls"]))
        try #require(made.status == 0, "\(made.errors)")
        func number(_ name: String, _ scratch: Scratch) throws -> Int {
            let text = try String(contentsOfFile: "\(scratch.path)/slapd/\(name)", encoding: .utf8)
            return try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        }
        port = try number("port", scratch)
        tlsPort = try number("tls_port", scratch)
        try await start()
    }

    /// Starts it, and waits until it serves.
    func start() async throws {
        let program = try Program("\(Self.folder)/setup", ["serve", scratch.file("slapd")], in: scratch.path)
        self.program = program
        try await eventually("slapd") { !program.isRunning || TCP.connects(port) }
        try #require(program.isRunning, "\((try? log) ?? "")")
    }

    func stop() { program?.stop() }

    /// Leaves it there, but it does nothing.
    func freeze() async throws { try await program?.halt() }

    func thaw() { program?.signal(SIGCONT) }

    /// What it has done so far.
    var log: String {
        get throws { try String(contentsOfFile: file("slapd.log"), encoding: .utf8) }
    }

    func file(_ name: String) -> String { scratch.file("slapd/\(name)") }

    var host: String { "127.0.0.1:\(port)" }

    /// The default query here, with extensions.
    func url(_ extensions: String = "") -> String {
        "ldap://\(host)/\(Self.query)" + (extensions.isEmpty ? "" : "?\(extensions)")
    }
}

/// TCP on this machine.
enum TCP {
    /// Whether somebody takes connections.
    static func connects(_ port: Int) -> Bool {
        guard let descriptor = try? socket(), descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return with(port) { connect(descriptor, $0, $1) } == 0
    }

    static func socket() throws -> Int32 {
        let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        _ = linux_fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return descriptor
    }

    static func with(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

extension Scratch {
    /// Starts perdition-map-ldap, which logs to `log`; the options string goes through the environment.
    func startLDAP(_ options: String, _ arguments: [String] = []) async throws -> Program {
        try await startProvider(
            ["-F", file("log"), "-d", "--lookup_timeout", "20"] + arguments, of: Slapd.provider,
            environment: ["PERDITION_MAP_LIBRARY_OPT": options])
    }

    /// One answer to one key of any bytes, for which the client waits longer than any provider here may take.
    func lookUp(_ key: [UInt8]) throws -> Answer {
        guard var client = BlockingClient(path: file("socket"), seconds: 60) else { throw POSIXError(.ECONNREFUSED) }
        return client.lookUp(key)
    }

    func lookUp(_ key: String) throws -> Answer {
        try lookUp(Array(key.utf8))
    }

    /// One key on the terminal.
    func query(_ key: String, _ options: String, environment: [String: String] = [:]) throws -> Outcome {
        try run(
            Slapd.provider, ["--query", key, "--lookup_timeout", "20"],
            environment: environment.merging(["PERDITION_MAP_LIBRARY_OPT": options]) { $1 })
    }

    var log: String {
        get throws { try String(contentsOfFile: file("log"), encoding: .utf8) }
    }
}

extension Answer {
    /// Whether the provider itself said that it does not know at present: the test's client says so as well where nothing
    /// comes.
    func isTemporary(saying text: String) -> Bool {
        if case .temporary(let reason) = self { reason.contains(text) } else { false }
    }
}
