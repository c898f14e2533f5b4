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
        exit(run(CommandLine.arguments))
    }

    private static func run(_ arguments: [String]) -> Int32 {
        do {
            return try serve(arguments, directory: currentDirectory())
        } catch {
            // Every error of the program describes itself in a sentence.
            guard !"\(error)".isEmpty else { return failure }
            let line = Array("\(error)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            return failure
        }
    }

    private static func serve(_ arguments: [String], directory: String) throws -> Int32 {
        switch try Options.parse(arguments: arguments, directory: directory) {
        case .print(let text):
            print(text, terminator: "")
            return 0
        case .serve(let options, let notes):
            if let orders = getenv(Worker.roleVariable).flatMap({ Worker.Orders(String(cString: $0)) }) {
                unsetenv(Worker.roleVariable)
                return try Worker.run(options, orders)
            }
            if options.inetdMode { return try Inetd.run(options, directory: directory) }
            return try Master.run(options, notes: notes, arguments: arguments, directory: directory)
        }
    }

    private static func currentDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }
}
