import CLinux
import Glibc

/// Programs started by a master: with exactly the descriptors, the directory and the rights they are to have.
public enum ChildProcess {
    /// What to start.
    public struct Program: Sendable, Equatable {
        /// The file to execute.
        public var path: String
        /// Its arguments, the name it is called by first.
        public var arguments: [String]
        /// Its whole environment, `NAME=value`.
        public var environment: [String] = []
        /// What it finds as descriptor 3, 4, …; 0 to 2 are ours.
        public var descriptors: [Int32] = []
        /// What it finds as standard error; nil for ours.
        public var standardError: Int32?
        /// Descriptors of ours that are of no use once it has started; they are closed then.
        public var closesAfterStart: [Int32] = []
        /// Where it starts; nil for our own directory.
        public var directory: String?
        /// Who it runs as; nil for our own rights.
        public var identity: Identity?
        /// Whether LISTEN_PID and LISTEN_FDS tell it about its descriptors.
        public var announcesDescriptors = false

        /// A program with its arguments.
        public init(path: String, arguments: [String]) {
            self.path = path
            self.arguments = arguments
        }
    }

    /// Why a program was not started.
    public struct Failure: Error, CustomStringConvertible {
        /// The file that should have been executed.
        public let path: String
        /// The value of `errno(3)`.
        public let code: Int32

        /// A sentence for the log.
        public var description: String { "\(path) does not start: \(String(cString: strerror(code)))" }
    }

    /// Starts a program; it is killed when its master dies.
    /// - Returns: its process id.
    /// - Throws: ``Failure``, also where the file cannot be executed.
    public static func start(_ program: Program) throws(Failure) -> Int32 {
        var environment = program.environment
        if program.announcesDescriptors {
            // Room for the number, which is known only in the child.
            environment = ["LISTEN_PID=000000000000", "LISTEN_FDS=\(program.descriptors.count)"] + environment
        }
        let arguments = copies(of: program.arguments)
        let entries = copies(of: environment)
        defer {
            wipe(arguments)
            wipe(entries)
        }
        let pid = unsafe linux_spawn(
            program.path, arguments, entries, program.descriptors, Int32(program.descriptors.count),
            program.directory, program.identity?.user ?? .max, program.identity?.group ?? 0,
            program.announcesDescriptors ? 1 : 0, program.standardError ?? -1)
        let code = linux_errno()
        for descriptor in program.closesAfterStart { close(descriptor) }
        guard pid > 0 else { throw Failure(path: program.path, code: code) }
        return pid
    }

    /// Our own environment, `NAME=value`, without the given names.
    public static func environment(without names: Set<String> = []) -> [String] {
        var entries: [String] = []
        guard var next = unsafe linux_environment() else { return entries }
        while let entry = unsafe next.pointee {
            let text = unsafe String(cString: entry)
            if !names.contains(String(text.prefix { $0 != "=" })) { entries.append(text) }
            unsafe next += 1
        }
        return entries
    }

    private static func copies(of strings: [String]) -> [UnsafeMutablePointer<CChar>?] {
        strings.map { unsafe strdup($0) } + [nil]
    }

    /// The environment of a map provider can hold a database password.
    private static func wipe(_ strings: [UnsafeMutablePointer<CChar>?]) {
        for case let text? in unsafe strings {
            unsafe linux_wipe(text, strlen(text))
            unsafe free(text)
        }
    }
}
