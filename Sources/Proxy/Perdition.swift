import Daemon
import Glibc

/// The program: chooses between the master's role and the worker's, and turns errors into exit statuses.
public enum Perdition {
    /// Exit status of everything that keeps the program from starting, as scripts know it.
    static let failure: Int32 = 255

    /// Runs the program and exits.
    public static func main() -> Never {
        Background.fillStandardStreams()
        Privileges.hideMemory()
        signal(SIGPIPE, SIG_IGN)
        let arguments = CommandLine.arguments
        let secrets = Options.secrets(in: arguments)
        for place in secrets { ArgumentVector.hide(place.argument, from: place.offset) }
        exit(run(arguments))
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
        if let order = Takeover.order() {
            let parcel = Parcel(descriptor: order.descriptor)
            close(order.descriptor)
            switch order {
            case .check: return try Master.rehearse(parcel)
            case .take: return try Master.takeOver(parcel)
            }
        }
        if let orders = getenv(Worker.roleVariable).flatMap({ Worker.Orders(String(cString: $0)) }) {
            unsetenv(Worker.roleVariable)
            return try work(orders, arguments, directory)
        }
        if Options.asksForCheck(arguments) {
            let (text, status) = Check.run(arguments, directory: directory)
            print(text, terminator: "")
            return status
        }
        let recorder = ConfigurationRecorder()
        let files = recorder.watching(.system)
        switch try Options.parse(arguments: arguments, directory: directory, files: files) {
        case .print(let text):
            print(text, terminator: "")
            return 0
        case .explain(let options, let user, let connects):
            return try Explanation.run(options, user: user, connects: connects, directory: directory)
        case .serve(let options, let notes):
            if options.inetdMode { return try Inetd.run(options, directory: directory) }
            let plan = try Plan(options, notes: notes, recorder.snapshot)
            return try Master.run(plan, Launch(arguments: arguments, directory: directory))
        }
    }

    /// A worker's start: with the configuration that its master has read.
    private static func work(_ orders: Worker.Orders, _ arguments: [String], _ directory: String) throws -> Int32 {
        let brief = orders.brief.flatMap { Parcel(descriptor: $0) }.map { Worker.Brief($0) } ?? Worker.Brief()
        if let descriptor = orders.brief { close(descriptor) }
        let files = brief.configuration?.files ?? .system
        guard case .serve(var options, _) = try Options.parse(arguments: arguments, directory: directory, files: files)
        else { return failure }
        // Whoever talks to the network has no need of a database's password.
        options.mapLibraryOpt = options.mapLibraryOpt.map { _ in MapOptionMask.mark }
        return try Worker.run(options, orders, brief: brief)
    }

    private static func currentDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }
}
