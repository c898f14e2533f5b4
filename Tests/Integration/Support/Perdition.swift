import Foundation
import Glibc

/// What perdition can be started as here.
enum Flavour: String, CaseIterable, Sendable {
    case imap4, pop3

    /// The name to start it by.
    var programName: String { "perdition.\(rawValue)" }
    /// How log lines call it.
    var logName: String { rawValue.uppercased() }
    /// What a client hears after its login went through.
    var success: String { self == .imap4 ? "a OK You are so in" : "+OK You are so in" }
    /// What a client hears when it did not, with the response code of RFC 5530, RFC 2449 or RFC 3206.
    func refusal(_ reason: String) -> String {
        let code =
            switch reason {
            case "Re-Authentication Failure": self == .imap4 ? "[AUTHENTICATIONFAILED] " : "[AUTH] "
            case "Could not determine server": self == .imap4 ? "" : "[SYS/PERM] "
            default: self == .imap4 ? "[UNAVAILABLE] " : "[SYS/TEMP] "
            }
        return "\(self == .imap4 ? "a NO" : "-ERR") \(code)failed: \(reason)"
    }
    /// The service name of its port.
    var service: String { self == .imap4 ? "imap" : "pop3" }
}

/// A running perdition in the foreground, with its log.
final class Perdition {
    let port: UInt16
    let flavour: Flavour
    let process: ChildProcess
    private let directory: TemporaryDirectory
    private let popmap: Popmap?

    /// Starts it and waits until it listens.
    ///
    /// - Parameters:
    ///   - flavour: The protocol, told by the program's name.
    ///   - name: The name to start it by, where it is neither flavour's.
    ///   - popmap: The users; none: no map at all.
    ///   - options: Further options.
    ///   - bind: The address to listen on.
    ///   - input: A file it reads as standard input.
    ///   - environment: Set on top of this process's.
    ///   - configuration: A configuration file; map and address are then its to say.
    ///   - logs: `-` for standard output, else what goes behind --log_facility.
    init(
        _ flavour: Flavour = .imap4, name: String? = nil, popmap: Popmap? = nil, _ options: [String] = [],
        bind: String = "127.0.0.1", log facility: String = "-", program: String? = nil, input: String = "/dev/null",
        environment: [String: String] = [:], configuration: Configuration? = nil
    ) throws {
        self.flavour = flavour
        self.popmap = popmap
        directory = try TemporaryDirectory()
        port = try configuration?.port ?? FreePort.next()
        if let configuration {
            process = try ChildProcess(
                program ?? Programs.perdition.get(), name: name ?? flavour.programName,
                ["--pid_file", "", "--log_facility", facility, "--no_daemon", "--config_file", configuration.path]
                    + options,
                input: input, log: directory.file("log"), environment: environment)
            try process.waitUntilListening(on: port)
            return
        }
        var arguments = [
            "--bind_address", bind.contains(":") ? "[\(bind)]" : bind, "--listen_port", String(port), "--pid_file", "",
            "--log_facility", facility, "--config_file", "/dev/null", "--no_daemon",
        ]
        if let popmap {
            arguments += ["--map_library", Programs.mapLibrary, "--map_library_opt", popmap.path]
        } else {
            arguments += ["--map_library", ""]
        }
        process = try ChildProcess(
            program ?? Programs.perdition.get(), name: name ?? flavour.programName, arguments + options, input: input,
            log: directory.file("log"), environment: environment)
        try process.waitUntilListening(on: port)
    }

    /// A new client, greeted; it keeps this proxy running.
    func client(host: String = "127.0.0.1", greeted: Bool = true, secure: Bool = false) throws -> MailClient {
        let client = try MailClient(port, host: host, greeted: greeted, secure: secure)
        client.server = self
        return client
    }

    /// What it has logged, without date and process number: only the text.
    var messages: [String] {
        process.logLines.map(Perdition.message)
    }

    /// Waits for a message of the log.
    func message(within seconds: Double = 20, where matches: (String) -> Bool) throws -> String {
        try Perdition.message(process.logLine(within: seconds) { matches(Perdition.message($0)) })
    }

    /// The processes it is made of.
    var family: [ProcessEntry] { ProcessTable.family(of: process.pid) }

    /// What has become of reloads so far, done or refused. The log may be long, and is asked for again and again.
    var reloads: [String] {
        guard let log = FileManager.default.contents(atPath: process.logPath) else { return [] }
        var found: [String] = []
        var start = log.startIndex
        while let mark = log.range(of: Data("]: Reload".utf8), in: start..<log.endIndex) {
            let end = log[mark.upperBound...].firstIndex(of: UInt8(ascii: "\n")) ?? log.endIndex
            found.append(String(decoding: log[(mark.lowerBound + 3)..<end], as: UTF8.self))
            start = end
        }
        return found
    }

    /// Asks for a reload and waits for what comes of it.
    /// - Returns: The message of the log.
    @discardableResult
    func reload(within seconds: Double = 60) throws -> String {
        let before = reloads.count
        process.signal(SIGHUP)
        var found: [String] = []
        try eventually("the reload", within: seconds) {
            found = reloads
            return found.count > before || process.hasEnded
        }
        guard found.count > before else { throw Failure("it has ended: \(process.log)") }
        return found[before]
    }

    /// The processes that talk to clients, the oldest first: more than one where sessions outlive a reload.
    var workers: [ProcessEntry] {
        family.filter { $0.parent == process.pid && $0.name == "perdition" }.sorted { $0.started < $1.started }
    }

    /// The one that talks to clients.
    var worker: ProcessEntry {
        get throws {
            let program = ProcessTable.entry(process.pid)?.executable
            let workers = family.filter { $0.parent == process.pid && $0.executable == program }
            guard let worker = workers.first, workers.count == 1 else {
                throw Failure("\(workers.count) workers")
            }
            return worker
        }
    }

    private static func message(_ line: String) -> String {
        guard let mark = line.range(of: #"^\w{3} [ \d]\d [\d:]{8} \S+\[\d+\]: "#, options: .regularExpression) else {
            return line
        }
        return String(line[mark.upperBound...])
    }
}
