import ArgumentParser
import Authentication
import CLinux
import Daemon
import Glibc
import Logging
import Lookup
import Provider

/// perdition-auth-pam: asks PAM whether names and passwords are right, with the rights the proxy has given up.
@main
struct AuthPAM: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perdition-auth-pam",
        abstract: "Authenticate perdition's users with PAM.",
        discussion: """
            Started by perdition for --authenticate_in, with the socket that requests arrive on. By hand it is of use \
            with --query only.
            """)

    /// Exit status where it cannot serve (EX_CONFIG of sysexits).
    private static let misconfigured: Int32 = 78

    @Option(help: ArgumentHelp("The PAM service, a file in /etc/pam.d.", valueName: "name"))
    var service = "perdition"

    @Option(help: "Authentications that run at the same time; more wait.")
    var workers = 64

    @Option(
        help: ArgumentHelp(
            """
            Authenticate one user with the password in the first line of standard input. Exit status: 0 accepted, \
            1 refused, 75 not known at present.
            """, valueName: "user"))
    var query: String?

    @Option(
        name: [.customShort("F"), .customLong("log_facility")],
        help: "Facility of syslog, a file's path, - for standard output or + for standard error.")
    var logFacility = "mail"

    @Flag(name: .shortAndLong, help: "Log details.")
    var debug = false

    func validate() throws {
        guard (1...1024).contains(workers) else { throw ValidationError("--workers is a number from 1 to 1024") }
        // Linux-PAM takes the last part of a path for the service's name: the two must not differ.
        guard !service.isEmpty, service.utf8.count <= 64, !service.utf8.contains(UInt8(ascii: "/")) else {
            throw ValidationError("--service is the name of a file in /etc/pam.d")
        }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        linux_crash_prepare("")
        Privileges.hideMemory()
        // Without root's rights PAM itself needs a set-group-id program to read /etc/shadow.
        if geteuid() == 0 { _ = linux_prctl(Int32(linux_PR_SET_NO_NEW_PRIVS), 1) }
        if let query { throw ExitCode(ask(query)) }
        let sink = startLog()
        do {
            let signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP, SIGCHLD])
            guard let listener = try ServiceListener.inherited().first else {
                throw ValidationError("no socket: perdition starts this program; by hand give --query USER")
            }
            _ = chdir("/")
            var reception = Reception(
                listener: listener.descriptor, workers: workers, service: service, sink: sink, debug: debug)
            reception.run(signals)
        } catch let error as any CustomStringConvertible {
            sink.write(.error, error.description)
            throw ExitCode(Self.misconfigured)
        }
    }

    /// Opens the log; a file that cannot be written is no reason to lock everybody out.
    private func startLog() -> LogSink {
        let name = "perdition-auth-pam"
        do {
            return try LogSink(LogDestination(logFacility), name: name)
        } catch {
            let line = Array("\(error)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            // Syslog cannot fail to open.
            guard let sink = try? LogSink(.syslog(LOG_MAIL), name: name) else { Self.exit() }
            return sink
        }
    }

    /// Answers on the terminal.
    /// - Returns: the exit status.
    private func ask(_ user: String) -> Int32 {
        let password = SecretRoom(size: AuthenticationRequest.fieldLimit)
        password.readPassword()
        password.endText(at: password.count)
        let outcome = user.withCString { user in
            "".withCString { PAMStack(service: service).check(user: user, client: $0, password: password.text(at: 0)) }
        }
        switch outcome.verdict {
        case .accepted:
            print("accepted")
            return 0
        case .refused:
            print("refused: \(outcome.reason)")
            return 1
        case .unavailable:
            print("not known at present: \(outcome.reason)")
            return 75
        }
    }
}
