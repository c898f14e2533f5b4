import Daemon
import Glibc

/// The program: chooses between the master's role and the worker's, and turns errors into exit statuses.
public enum Perdition {
    /// Exit status of everything that keeps the program from starting, as scripts know it.
    static let failure: Int32 = 255

    /// Runs the program and exits.
    public static func main() -> Never {
        Background.fillStandardStreams()
        signal(SIGPIPE, SIG_IGN)
        let arguments = CommandLine.arguments
        let secrets = Options.secrets(in: arguments)
        for place in secrets { ArgumentVector.hide(place.argument, from: place.offset) }
        exit(run(arguments, hidden: secrets))
    }

    /// - Parameter secrets: the values among the arguments that no other process gets as such.
    private static func run(_ arguments: [String], hidden secrets: [CommandLineWords.Place]) -> Int32 {
        do {
            return try serve(arguments, secrets, directory: currentDirectory())
        } catch {
            // Every error of the program describes itself in a sentence.
            guard !"\(error)".isEmpty else { return failure }
            let line = Array("\(error)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            return failure
        }
    }

    private static func serve(
        _ arguments: [String], _ secrets: [CommandLineWords.Place], directory: String
    ) throws -> Int32 {
        switch try Options.parse(arguments: arguments, directory: directory) {
        case .print(let text):
            print(text, terminator: "")
            return 0
        case .serve(var options, let notes):
            if let orders = getenv(Worker.roleVariable).flatMap({ Worker.Orders(String(cString: $0)) }) {
                unsetenv(Worker.roleVariable)
                // Whoever talks to the network has no need of a database's password.
                options.mapLibraryOpt = options.mapLibraryOpt.map { _ in MapOptionMask.mark }
                return try Worker.run(options, orders)
            }
            if options.inetdMode { return try Inetd.run(options, directory: directory) }
            var shown = arguments
            for place in secrets {
                let head = shown[place.argument].utf8.prefix(place.offset)
                shown[place.argument] = String(decoding: head, as: UTF8.self) + MapOptionMask.mark
            }
            return try Master.run(options, notes: notes, arguments: shown, directory: directory)
        }
    }

    private static func currentDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }
}
