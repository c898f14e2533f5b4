import Daemon
import Glibc
import Logging
import TLS

/// The options as they are at one time, with what follows from them, checked as far as nothing has to change for that.
struct Plan {
    let options: Options
    /// What is to be said about them in the log.
    let notes: [String]
    /// The file that was read for them.
    let configuration: ConfigurationSnapshot
    /// Who serves; nil for whoever has started the program.
    let identity: Identity?
    /// The maps, in the order they are asked.
    let maps: [(provider: MapProvider, options: String)]
    /// The helper of `--authenticate_in`.
    let authenticator: String?

    /// Looks for everything the options name.
    init(_ options: Options, notes: [String], _ configuration: ConfigurationSnapshot) throws(Master.Failure) {
        self.options = options
        self.notes = notes
        self.configuration = configuration
        identity = try Master.wrap { () throws(DaemonError) in
            geteuid() == 0 ? try Identity(user: options.username, group: options.group) : nil
        }
        let list = try Master.wrap { () throws(MapList.Failure) in try MapList(options) }
        var maps: [(provider: MapProvider, options: String)] = []
        for map in list.entries {
            let provider = try Master.wrap { () throws(MapProvider.Failure) in
                try MapProvider.choose(map.library, directories: Master.providerDirectories(options))
            }
            maps.append((provider, map.options))
        }
        self.maps = maps
        authenticator = try Master.wrap { () throws(Authenticator.Failure) in
            try Authenticator.find(options, directories: Master.providerDirectories(options))
        }
    }

    /// Reads the options again.
    /// - Parameter files: where the configuration file is.
    init(_ launch: Launch, files: OptionFiles = .system) throws(Master.Failure) {
        let (options, notes, configuration) = try Self.read(launch, files: files)
        try self.init(options, notes: notes, configuration)
    }

    /// The options alone, without a look at what they name.
    static func read(
        _ launch: Launch, files: OptionFiles
    ) throws(Master.Failure) -> (Options, notes: [String], ConfigurationSnapshot) {
        let recorder = ConfigurationRecorder()
        let invocation = try Master.wrap { () throws(OptionError) in
            try Options.parse(
                arguments: launch.arguments, directory: launch.directory, files: recorder.watching(files))
        }
        guard case .serve(let options, let notes) = invocation else { throw Master.Failure("nothing to serve") }
        guard !options.inetdMode else {
            throw Master.Failure("--inetd_mode is for programs that inetd starts: a reload cannot take it")
        }
        return (options, notes, recorder.snapshot)
    }

    /// Does what a worker will do with keys and certificates, and nothing that lasts.
    func checkFiles(_ launch: Launch) throws(Master.Failure) {
        let destination = try Master.wrap { () throws(DaemonError) in try LogDestination(options.logFacility) }
        _ = try Master.wrap { () throws(DaemonError) in
            try LogSink(destination, name: options.programName, owner: identity)
        }
        guard launch.passphrase != nil || !KeyPassphrase.isNeeded(options) else {
            throw Master.Failure(
                """
                --ssl_key_file \(options.sslKeyFile): the key is encrypted, and no passphrase was read when the program \
                was started: start it again, or use --ssl_passphrase_file
                """)
        }
        let passphrase = launch.passphrase.flatMap { KeyPassphrase.descriptor($0) }
        defer { if let passphrase { close(passphrase) } }
        _ = try Master.wrap { () throws(TLSError) in try TLSContexts(options, passphrase: passphrase) }
    }

    /// The names of the options that differ, for the log.
    static func changes(from old: Options, to new: Options) -> [String] {
        OptionList.all.filter { $0.replacement == nil && $0.kind.show(old) != $0.kind.show(new) }.map(\.name)
    }
}
