import Daemon
import Glibc
import Loop

/// The Unix socket lookups arrive on, in a directory of its own that only the worker's user can enter. It outlives the
/// provider: what is asked while that restarts waits here.
struct MapSocket {
    /// Where lookups are sent.
    let path: String
    /// The listening end, which the provider inherits.
    let listener: Int32
    private let directory: String

    /// Why there is no socket; a sentence.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Makes directory and socket.
    /// - Parameters:
    ///   - base: where the directory is made.
    ///   - owner: who may use it; nil for ourselves.
    init(in base: String, owner: Identity?) throws(Failure) {
        var template = Array("\(base)/perdition.XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw Failure(description: "\(base): no directory for the popmap's socket: \(Errno.last)")
        }
        directory = template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }.text
        path = "\(directory)/popmap"
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

    /// The provider to be started on this socket.
    /// - Parameters:
    ///   - path: its file.
    ///   - options: whose `--map_library_opt` it gets, in the environment: it can hold a password.
    ///   - directory: where relative paths in that begin.
    ///   - identity: who it runs as.
    func program(_ path: String, _ options: Options, directory: String, identity: Identity?) -> ChildProcess.Program {
        var program = ChildProcess.Program(
            path: path, arguments: [path, "--log_facility", options.logFacility] + (options.debug ? ["-d"] : []))
        program.environment =
            ChildProcess.environment(without: ["LISTEN_PID", "LISTEN_FDS", Worker.roleVariable])
            + ["PERDITION_MAP_LIBRARY_OPT=\(options.mapLibraryOpt)"]
        program.descriptors = [listener]
        program.directory = directory
        program.identity = identity
        program.announcesDescriptors = true
        return program
    }

    /// Takes both out of the file system.
    func remove() {
        unlink(path)
        rmdir(directory)
    }
}
