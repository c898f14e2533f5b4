import Daemon
import Glibc
import Loop

/// The Unix socket that a program of ours is asked on, in a directory of its own that only the worker's user can enter.
/// It outlives the program: what is asked while that restarts waits here.
struct ServiceSocket {
    /// Where requests are sent.
    let path: String
    /// The listening end, which the program inherits.
    let listener: Int32
    /// What it lies in, alone.
    let directory: String

    /// Why there is no socket; a sentence.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Makes directory and socket.
    /// - Parameters:
    ///   - name: what the socket is called.
    ///   - base: where the directory is made.
    ///   - owner: who may use it; nil for ourselves.
    init(_ name: String, in base: String, owner: Identity?) throws(Failure) {
        var template = Array("\(base)/perdition.XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw Failure(description: "\(base): no directory for the socket \(name): \(Errno.last)")
        }
        directory = template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }.text
        path = "\(directory)/\(name)"
        do throws(Listening.Failure) {
            listener = try Listening.openUnix(path)
        } catch {
            rmdir(directory)
            throw Failure(description: error.description)
        }
        guard let owner else { return }
        chown(path, owner.user, owner.group)
        chown(directory, owner.user, owner.group)
    }

    /// One that was made before.
    init(path: String, directory: String, listener: Int32) {
        self.path = path
        self.directory = directory
        self.listener = listener
    }

    /// A program to be started on this socket.
    func start(_ program: ChildProcess.Program) -> ChildProcess.Program {
        var program = program
        program.descriptors = [listener]
        return program
    }

    /// A program to be started on a socket like this.
    /// - Parameters:
    ///   - path: its file.
    ///   - options: where and how it is to log.
    ///   - arguments: further arguments.
    ///   - secrets: what it gets in its environment, `NAME=value`: arguments can be read by everybody.
    ///   - directory: where relative paths begin.
    ///   - identity: who it runs as; nil for our own rights.
    private static func program(
        _ path: String, _ options: Options, _ arguments: [String] = [], secrets: [String] = [], directory: String?,
        identity: Identity?
    ) -> ChildProcess.Program {
        var program = ChildProcess.Program(
            path: path,
            arguments: [path, "--log_facility", options.logFacility] + (options.debug ? ["-d"] : []) + arguments)
        program.environment =
            ChildProcess.environment(
                without: Notification.variables.union([Worker.roleVariable, Takeover.variable])) + secrets
        program.directory = directory
        program.identity = identity
        program.announcesDescriptors = true
        return program
    }

    /// Takes both out of the file system. The listening end stays open.
    func remove() {
        unlink(path)
        rmdir(directory)
    }
}

extension ServiceSocket {
    /// The map provider to be started on a socket.
    /// - Parameter mapOptions: its `--map_library_opt`, which can hold a password.
    static func provider(
        _ path: String, _ options: Options, mapOptions: String, directory: String, identity: Identity?
    ) -> ChildProcess.Program {
        let time = MapService.lookupTime(options)
        return program(
            path, options, ["--lookup_timeout", "\(time / 1000).\(time % 1000 / 100)"],
            secrets: ["PERDITION_MAP_LIBRARY_OPT=\(mapOptions)"], directory: directory, identity: identity)
    }

    /// The helper of `--authenticate_in` to be started on a socket. It keeps the rights the worker gives up.
    static func authenticator(_ path: String, _ options: Options) -> ChildProcess.Program {
        program(path, options, directory: "/", identity: nil)
    }
}
