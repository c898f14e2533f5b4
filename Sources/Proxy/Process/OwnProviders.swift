import Daemon
import Glibc

/// The maps of a process that has no master: providers that run already, and those that are started for it.
struct OwnProviders {
    /// Milliseconds a provider gets to end.
    private static let patience = 2000

    /// The Unix sockets of the maps, in the order they were added.
    private(set) var sockets: [String] = []
    private var made: [ServiceSocket] = []
    private var children: [Int32] = []

    /// Finds or starts the provider of one more map.
    /// - Parameter identity: who it runs as; nil for our own rights.
    /// - Throws: what describes itself in a sentence.
    mutating func add(_ map: MapList.Entry, _ options: Options, directory: String, identity: Identity?) throws {
        switch try MapProvider.choose(map.library, directories: Master.providerDirectories(options)) {
        case .running(let path): sockets.append(path)
        case .program(let path):
            // In a directory with the sticky bit, where it can be removed without root's rights.
            let socket = try ServiceSocket("popmap", in: "/tmp", owner: identity)
            made.append(socket)
            children.append(
                try ChildProcess.start(
                    socket.start(
                        ServiceSocket.provider(
                            path, options, mapOptions: map.options, directory: directory, identity: identity))))
            sockets.append(socket.path)
        }
    }

    /// Ends what was started.
    func end() {
        for child in children { kill(child, SIGTERM) }
        for child in children {
            var waited = 0
            while waitpid(child, nil, WNOHANG) == 0 {
                // One that hangs in its database hears nothing.
                if waited == Self.patience { kill(child, SIGKILL) }
                usleep(10_000)
                waited += 10
            }
        }
        for socket in made {
            close(socket.listener)
            socket.remove()
        }
    }
}
