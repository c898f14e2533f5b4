import CLinux
import Daemon
import Glibc
import Logging
import Loop

extension Master {
    /// A process of the program on the disk that finds out whether it could go on from here.
    struct Rehearsal {
        let pid: pid_t
        /// Where it says why not.
        let output: Int32
        /// When it is ended.
        let deadline: UInt64
        private(set) var words: [UInt8] = []

        /// Bytes of its words that are kept.
        private static let limit = 2000

        init(pid: pid_t, output: Int32, deadline: UInt64) {
            self.pid = pid
            self.output = output
            self.deadline = deadline
        }

        /// Takes what it has said.
        mutating func listen() {
            while true {
                let chunk = [UInt8](unsafeUninitializedCapacity: 4096) { room, count in
                    count = max(0, read(output, room.baseAddress, room.count))
                }
                guard !chunk.isEmpty else { return }
                words += chunk.prefix(Self.limit - min(Self.limit, words.count))
            }
        }

        /// Its words on one line.
        var text: String {
            words.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
                .joined(separator: "; ")
        }
    }

    // MARK: Before

    /// Starts the program on the disk to see whether it reads the configuration and finds everything that it names. This
    /// process changes nothing and opens nothing until then.
    func beginReload() {
        guard candidate == nil, rehearsal == nil, announcement == nil else { return }
        isReloadDue = false
        guard drainingSince == nil else { return refuse("the program ends with its last session") }
        Notification.send(.reloading, .status("Reloading"))
        do {
            let file = try packed.descriptor()
            defer { close(file) }
            let output = try Generation.pipe()
            defer { close(output.write) }
            var program = ChildProcess.Program(path: launch.executable, arguments: launch.shownArguments)
            let names = Notification.variables.union([Takeover.variable, Worker.roleVariable])
            program.environment =
                ChildProcess.environment(without: names) + [Takeover.Order.check(3).environment]
            program.descriptors = [file]
            program.standardError = output.write
            program.directory = launch.directory
            do {
                let pid = try ChildProcess.start(program)
                let deadline = LoopThread.clock() + Self.startPatience
                rehearsal = Rehearsal(pid: pid, output: output.read, deadline: deadline)
            } catch {
                close(output.read)
                throw error
            }
        } catch {
            refuse("\(error)")
        }
    }

    /// The rehearsal is over.
    func endRehearsal(_ status: Int32) {
        rehearsal?.listen()
        guard let rehearsal else { return }
        self.rehearsal = nil
        close(rehearsal.output)
        guard ending == nil else { return }
        guard status == 0 else {
            let how = Charge.end(status)
            let words = rehearsal.text
            return refuse(words.isEmpty || status & 0x7f != 0 ? "\(launch.executable) \(how) \(words)" : words)
        }
        let fault = Takeover.become(
            launch.executable, arguments: launch.shownArguments, parcel: packed, keeping: descriptors)
        refuse(fault)
    }

    /// The other side of `beginReload`: throws where nothing would come of it.
    static func rehearse(_ parcel: Parcel?) throws(Failure) -> Int32 {
        guard let parcel, let launch = parcel.parcels("launch").first.flatMap({ Launch($0) }),
            !parcel.parcels("current").isEmpty
        else { throw Failure("the program that runs is too different from the one that is installed: start it again") }
        try Plan(launch).checkFiles(launch)
        return 0
    }

    // MARK: After

    /// Goes on as the program that runs already, and starts the worker that is to serve from now on.
    /// - Returns: the exit status.
    static func takeOver(_ parcel: Parcel?) throws(Failure) -> Int32 {
        guard let parcel, let launch = parcel.parcels("launch").first.flatMap({ Launch($0) }) else {
            throw Failure("nothing to take over")
        }
        let signals = try wrap { () throws(SignalFailure) in try watchSignals() }
        let attendants = parcel.parcels("attendant").compactMap { Attendant($0) }
        guard
            let current = parcel.parcels("current").first.flatMap({ Generation($0, launch, attendants: attendants) })
        else { throw Failure("nothing to take over") }
        var wanted: Plan?
        var fault: Failure?
        do throws(Failure) { wanted = try Plan(launch) } catch { fault = error }
        // Nothing may fail from here on: everybody who is served would lose his session.
        let options = presentOptions(parcel, launch, current, wanted)
        let identity = geteuid() == 0 ? try? Identity(user: options.username, group: options.group) : nil
        let master = Master(
            launch, options, identity: identity, sink: openLog(options, identity), current: current,
            attendants: attendants)
        master.leaving = parcel.parcels("leaving").compactMap { Generation($0, launch, attendants: attendants) }
        master.pidFile = parcel.text("pidfile").map { PidFile(ownAt: $0) }
        master.isReloadDue = parcel.text("again") != nil
        master.current.elders = master.leaving.compactMap(\.talk?.asking)
        if let path = parcel.text("control"), let listener: Int32 = parcel.number("control.listener") {
            master.control = ControlSocket(path: path, listener: listener)
        }
        master.metrics = parcel.numbers("metrics")
        for entry in parcel.parcels("restarts") {
            if let name = entry.text("name") { master.restarts[name] = entry.number("count") }
        }
        for descriptor in master.descriptors { _ = linux_fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        // Signals of children that ended meanwhile are still to come, but for those of one that hid the other.
        master.reap()
        if let wanted {
            let isOther = parcel.text("mark") != fileMark(Launch.ownImage)
            let from = parcel.text("version") ?? "?"
            master.raise(wanted, note: isOther ? " with another program (\(from) to \(Version.text))" : "")
        } else {
            master.refuse(fault?.description ?? "")
        }
        return master.serve(signals)
    }

    /// What is in force; what is wanted, or next to nothing, where this program does not understand that any more.
    private static func presentOptions(
        _ parcel: Parcel, _ launch: Launch, _ current: Generation, _ wanted: Plan?
    ) -> Options {
        if let present = try? Plan.read(launch, files: current.configuration.files) { return present.0 }
        if let wanted { return wanted.options }
        var options = Options()
        options.programName = parcel.text("name") ?? options.programName
        options.logFacility = parcel.text("log") ?? options.logFacility
        return options
    }

    /// The log, or that of the system where it cannot be opened.
    private static func openLog(_ options: Options, _ identity: Identity?) -> LogSink {
        let destination = (try? LogDestination(options.logFacility)) ?? .syslog(LOG_MAIL)
        if let sink = try? LogSink(destination, name: options.programName, owner: identity) { return sink }
        // Only a file can fail to open.
        guard let sink = try? LogSink(.syslog(LOG_MAIL), name: options.programName) else { exit(Perdition.failure) }
        return sink
    }

    /// What `takeOver` reads.
    private var packed: Parcel {
        var parcel = Parcel()
        parcel.add("version", Version.text)
        parcel.add("mark", fileMark(Launch.ownImage))
        parcel.add("name", options.programName)
        parcel.add("log", options.logFacility)
        parcel.add("launch", launch.packed)
        for attendant in attendants { parcel.add("attendant", attendant.packed) }
        parcel.add("current", current.packed(attendants: attendants))
        for generation in leaving { parcel.add("leaving", generation.packed(attendants: attendants)) }
        if let pidFile { parcel.add("pidfile", pidFile.path) }
        if let control {
            parcel.add("control", control.path)
            parcel.add("control.listener", control.listener)
        }
        for socket in metrics { parcel.add("metrics", socket) }
        for (name, count) in restarts {
            var entry = Parcel()
            entry.add("name", name)
            entry.add("count", count)
            parcel.add("restarts", entry)
        }
        if isReloadDue { parcel.add("again", "yes") }
        return parcel
    }

    /// Descriptors that are to live on.
    private var descriptors: [Int32] {
        current.descriptors + leaving.flatMap(\.descriptors) + attendants.flatMap(\.descriptors)
            + metrics + [control?.listener, launch.ledger?.descriptor].compactMap(\.self)
    }
}
