import Logging
import Lookup
import Loop
import Synchronization
import TLS

/// What all sessions of a worker share; made once, before the first connection.
final class Services: Sendable {
    /// What the administrator set.
    let options: Options
    /// Where the lines go that programs read.
    let log: Logger
    /// Names to addresses.
    let resolver: Resolver
    /// How many sessions are open, on all loops.
    let sessions = Atomic<Int>(0)
    /// The name of this machine (`uname(2)`), for `--no_bind_banner`.
    let nodeName: String
    /// Whether the worker is on its way out.
    let stopping = Atomic<Bool>(false)
    /// Milliseconds between a client's fault and the answer to it.
    let pauseLength: UInt64

    /// Services for one set of options.
    init(options: Options, log: Logger, nodeName: String, pauseLength: UInt64 = Front.pauseLength) {
        self.options = options
        self.pauseLength = pauseLength
        self.log = log
        self.nodeName = nodeName
        resolver = Resolver(threads: options.resolverThreads)
    }
}
