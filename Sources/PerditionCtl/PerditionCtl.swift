import ArgumentParser
import Control
import Glibc

/// perditionctl: asks a running perdition, and tells it what to do.
@main
struct PerditionCtl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perditionctl",
        abstract: "Ask a running perdition, and tell it what to do.",
        discussion: "Exit status: 0 done; 1 refused by perdition; 2 perdition could not be asked; 64 wrong use.",
        subcommands: [
            Who.self, Kick.self, Stats.self, Lookup.self, Purge.self, Reload.self, Drain.self,
        ])
}

/// What every command takes.
struct Connection: ParsableArguments {
    @Option(
        name: [.customShort("s"), .long],
        help: "The control socket; without it the only one in \(ControlClient.directory).")
    var socket: String?

    @Option(
        name: .shortAndLong,
        help: "The name of the instance, as perdition.imap4: its socket is \(ControlClient.directory)/NAME.control.")
    var instance: String?

    @Flag(name: .shortAndLong, help: "Print JSON instead of a table.")
    var json = false

    func validate() throws {
        guard socket == nil || instance == nil else {
            throw ValidationError("--socket and --instance both name a socket: give one")
        }
    }

    /// Asks, prints what comes back, and ends the program where that is nothing good.
    func run(_ command: ControlCommand, print shown: (ControlAnswer) -> String = { Table.text($0) }) throws {
        let answer: ControlAnswer
        do throws(ControlClient.Fault) {
            let path = try ControlClient.path(socket: socket, instance: instance)
            answer = try ControlClient.ask(command, at: path)
        } catch {
            throw Self.fail(error.description, status: 2)
        }
        for warning in answer.warnings { Self.complain("warning: \(warning)") }
        if let error = answer.error { throw Self.fail(error, status: 1) }
        let text = json ? JSON.text(answer) : shown(answer)
        guard ControlClient.write(Array(text.utf8), to: STDOUT_FILENO) else {
            throw Self.fail("cannot write", status: 2)
        }
    }

    private static func complain(_ text: String) {
        _ = ControlClient.write(Array("perditionctl: \(text)\n".utf8), to: STDERR_FILENO)
    }

    private static func fail(_ text: String, status: Int32) -> ExitCode {
        complain(text)
        return ExitCode(status)
    }
}

struct Who: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the sessions, of workers from before a reload, too.")
    @OptionGroup var connection: Connection

    func run() throws { try connection.run(.who) }
}

struct Kick: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "End the sessions of a user.")
    @OptionGroup var connection: Connection
    @Argument(help: "The user, as who shows it.")
    var user: String

    func run() throws {
        try connection.run(.kick(user: Array(user.utf8))) { $0.sum(of: "session", "ended") }
    }
}

struct Stats: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show counters and states.")
    @OptionGroup var connection: Connection

    func run() throws { try connection.run(.stats) }
}

struct Lookup: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show where a user's login would go, and why.")
    @OptionGroup var connection: Connection
    @Argument(help: "The user, as a client would give it.")
    var user: String

    func run() throws { try connection.run(.lookup(user: Array(user.utf8))) }
}

struct Purge: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Forget what maps have answered.")
    @OptionGroup var connection: Connection

    func run() throws {
        try connection.run(.purge) { $0.sum(of: "answer", "forgotten") }
    }
}

struct Reload: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take configuration, keys, maps and program anew, as SIGHUP does; wait for what comes of it.")
    @OptionGroup var connection: Connection

    func run() throws { try connection.run(.reload) { ($0.rows.first?.first ?? "") + "\n" } }
}

struct Drain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Accept nobody any more; perdition ends with its last session.")
    @OptionGroup var connection: Connection

    func run() throws {
        try connection.run(.drain) { answer in
            let row = answer.rows.first ?? []
            let (sessions, logins) = (row.first ?? "?", row.dropFirst().first ?? "?")
            return "draining: sessions that are waited for: \(sessions), logins: \(logins)\n"
        }
    }
}
