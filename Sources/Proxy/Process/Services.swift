import Daemon
import Logging
import Lookup
import Loop
import Synchronization
import TLS

/// What all sessions of a worker share; made once, before the first connection.
final class Services: Sendable {
    /// What the administrator set, and what follows from it.
    let settings: Settings
    /// The same for those who come in by each listener, in the order of `--listen`; one where that is not there.
    let listeners: [Settings]
    /// Where the lines go that programs read.
    let log: Logger
    /// The same for lines of which each session has some.
    let lines: LineLog
    /// Keys, certificates and policies of both sides.
    let tls: TLSContexts
    /// Names to addresses.
    let resolver: Resolver
    /// How many sessions are open, on all loops.
    let sessions = Atomic<Int>(0)
    /// Requests of `perditionctl` that are being answered: the worker stays for them.
    let errands = Atomic<Int>(0)
    /// The name of this machine (`uname(2)`), for `--no_bind_banner`.
    let nodeName: String
    /// The maps, in the order they are asked; none for no lookups.
    let maps: [MapService]
    /// The Unix socket of the helper of `--authenticate_in`; nil where there is none.
    let authSocket: String?
    /// Milliseconds between a client's fault and the answer to it.
    let pauseLength: UInt64
    /// Who may come in.
    let door: Door
    /// How many sessions there are descriptors for.
    let capacity: Capacity
    /// Told of clients turned away for `--connection_limit`.
    let limitNotice: Notice
    /// Told of descriptors that have run out.
    let descriptorNotice: Notice
    /// The end of every greeting; made once, as it looks at every option.
    let checksum: String

    /// What the administrator set; lent, not copied.
    var options: Options { _read { yield settings.options } }

    /// Services for one set of options.
    /// - Parameter sink: where `log` writes; nil where nobody is to get around it.
    init(
        options: Options, log: Logger, tls: TLSContexts, nodeName: String, maps: [MapService], authSocket: String?,
        pauseLength: UInt64 = Front.pauseLength, capacity: Capacity = .unlimited, sink: LogSink? = nil
    ) {
        settings = Settings(options)
        listeners =
            options.listen.isEmpty ? [settings] : options.listen.map { Settings(options.adapted(to: $0), for: $0) }
        self.pauseLength = pauseLength
        self.capacity = capacity
        door = Door(options, pause: pauseLength, log: log)
        limitNotice = Notice(log)
        descriptorNotice = Notice(log)
        checksum = options.checksumText
        self.log = log
        lines = LineLog(log, sink: sink)
        self.tls = tls
        self.nodeName = nodeName
        self.maps = maps
        self.authSocket = authSocket
        resolver = Resolver(threads: options.resolverThreads)
    }
}
