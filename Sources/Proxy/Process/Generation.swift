import CLinux
import Daemon
import Glibc
import Loop

/// One worker with everything it serves with, from a start or reload until its last session has ended.
final class Generation {
    /// Who answers lookups in one map.
    enum Map {
        /// A provider that is not ours.
        case foreign(socket: String)
        /// One of ours.
        case own(Attendant)

        var socket: String {
            switch self {
            case .foreign(let socket): socket
            case .own(let attendant): attendant.socket.path
            }
        }

        var attendant: Attendant? {
            if case .own(let attendant) = self { attendant } else { nil }
        }
    }

    /// What the worker is started with, again after a crash as well.
    let configuration: ConfigurationSnapshot
    /// Milliseconds after which a provider without an answer counts as stuck.
    let patience: UInt64
    /// The maps, in the order they are asked.
    let maps: [Map]
    /// The helper that authenticates.
    let authenticator: Attendant?
    /// The sockets it accepts from; none once it leaves.
    var listeners: [Int32]
    /// Which of the options' listeners each of them belongs to.
    let places: [Int]
    /// When it was told to accept no more; nil while it serves.
    var leavingSince: UInt64?
    /// When it was told to end, whoever is there.
    var endingSince: UInt64?
    /// Where the worker says that a provider is stuck; nil where none is ours.
    let watch: (read: Int32, write: Int32)?
    /// Where the worker says how far it is, in bytes of ``Worker/Report``.
    let reports: (read: Int32, write: Int32)
    /// Where other workers ask this one for its part of an answer: its own end, and that of whoever asks.
    let talk: (own: Int32, asking: Int32)?
    /// Where the workers of before can be asked.
    var elders: [Int32] = []
    /// Where the master is asked through it.
    var control: Int32?
    /// Where it serves metrics.
    var metrics: [Int32] = []
    /// Where it counts; nil for nowhere.
    var block: Int?
    /// The worker the ledger knows of.
    var noted: Int32?
    /// What the worker has reported and nobody has asked about yet.
    private var reported: Set<Worker.Report> = []
    /// Whether somebody still reads the program's standard error.
    var isFirst = false
    /// The worker.
    private(set) lazy var worker = makeWorker()
    private let saved: Parcel?
    private let launch: Launch
    private let errors: ErrorPipe?

    /// One whose worker is to be started.
    init(
        _ plan: Plan, _ launch: Launch, sockets: Listening.Sockets, maps: [Map], authenticator: Attendant?,
        errors: ErrorPipe?
    ) throws(Errno) {
        configuration = plan.configuration
        patience = MapService.patience(plan.options)
        self.launch = launch
        listeners = sockets.descriptors
        places = sockets.places
        self.maps = maps
        self.authenticator = authenticator
        self.errors = errors
        saved = nil
        reports = try Self.pipe()
        talk = try Self.pair()
        watch = maps.contains { $0.attendant != nil } ? try Self.pipe() : nil
    }

    /// A pipe neither side of which waits for the other.
    static func pipe() throws(Errno) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard linux_pipe(&ends) == 0 else { throw .last }
        for end in ends { _ = linux_fcntl(end, F_SETFL, linux_fcntl(end, F_GETFL, 0) | O_NONBLOCK) }
        return (ends[0], ends[1])
    }

    private static func pair() throws(Errno) -> (own: Int32, asking: Int32) {
        var ends: [Int32] = [-1, -1]
        guard linux_socketpair(&ends) == 0 else { throw .last }
        return (ends[0], ends[1])
    }

    /// Those that work for it.
    var attendants: [Attendant] { maps.compactMap(\.attendant) + (authenticator.map { [$0] } ?? []) }

    /// Closes what only this generation has; not the listening sockets.
    func close() {
        worker.errors?.close()
        for end in pipes { Glibc.close(end) }
    }

    private var pipes: [Int32] {
        [reports.read, reports.write] + (watch.map { [$0.read, $0.write] } ?? [])
            + (talk.map { [$0.own, $0.asking] } ?? [])
    }

    /// Whether the worker has reported this since it was asked last.
    func has(_ report: Worker.Report) -> Bool {
        listen()
        return reported.remove(report) != nil
    }

    /// Takes what the worker reports.
    /// - Returns: whether it was anything.
    @discardableResult
    func listen() -> Bool {
        let bytes = [UInt8](unsafeUninitializedCapacity: 64) { room, count in
            count = max(0, read(reports.read, room.baseAddress, room.count))
        }
        for case let new? in bytes.map({ Worker.Report(rawValue: $0) }) { reported.insert(new) }
        return !bytes.isEmpty
    }

    private func makeWorker() -> Charge {
        if let saved { return Charge(saved) { [unowned self] in program() } }
        return Charge(name: "worker", errors: errors) { [unowned self] in program() }
    }

    private func program() -> ChildProcess.Program {
        var orders = Worker.Orders(places: Array(places.prefix(listeners.count)))
        orders.mapSockets = maps.map(\.socket)
        orders.authSocket = authenticator?.socket.path
        orders.detached = launch.isDetached
        orders.isFirst = isFirst
        // What the master is, whatever the file has become: only a reload takes another program, and takes it for both.
        var program = ChildProcess.Program(path: Launch.ownImage, arguments: launch.shownArguments)
        program.descriptors = listeners
        func add(_ descriptor: Int32?, _ flag: WritableKeyPath<Worker.Orders, Bool>, isOurs: Bool) {
            guard let descriptor else { return }
            orders[keyPath: flag] = true
            program.descriptors.append(descriptor)
            if !isOurs { program.closesAfterStart.append(descriptor) }
        }
        add(reports.write, \.reports, isOurs: true)
        add(launch.passphrase.flatMap { KeyPassphrase.descriptor($0) }, \.hasPassphrase, isOurs: false)
        add(watch?.write, \.watchesMaps, isOurs: true)
        let brief = Worker.Brief(configuration, launch.tickets, pulse: launch.pulse)
        add(try? brief.packed.descriptor(), \.hasBrief, isOurs: false)
        add(worker.errors?.writing, \.hasErrors, isOurs: true)
        let desk = Worker.Orders.Desk(
            ledger: block.flatMap { _ in launch.ledger?.descriptor }, talk: talk?.own, listener: control,
            elders: elders, metrics: metrics, block: block ?? 0)
        orders.control = desk.orders
        program.descriptors += desk.descriptors
        // The worker takes the pipe by itself, when nobody reads the other any more.
        program.standardError = isFirst ? STDERR_FILENO : nil
        program.environment =
            ChildProcess.environment(without: Notification.variables.union([Takeover.variable])) + orders.environment
        program.directory = launch.directory
        return program
    }

    // MARK: Over a reload

    /// One whose worker may run already; nil where the parcel holds something else.
    init?(_ parcel: Parcel, _ launch: Launch, attendants: [Attendant]) {
        guard let configuration = parcel.parcels("configuration").first, let worker = parcel.parcels("worker").first,
            let reading: Int32 = parcel.number("reports.read"), let writing: Int32 = parcel.number("reports.write")
        else { return nil }
        reports = (reading, writing)
        if let own: Int32 = parcel.number("talk.own"), let asking: Int32 = parcel.number("talk.asking") {
            talk = (own, asking)
        } else {
            talk = nil
        }
        block = parcel.number("block")
        noted = parcel.number("noted")
        control = parcel.number("control")
        metrics = parcel.numbers("metrics")
        self.configuration = ConfigurationSnapshot(configuration)
        self.launch = launch
        saved = worker
        errors = nil
        patience = parcel.number("patience") ?? 3000
        let listeners: [Int32] = parcel.numbers("listener")
        self.listeners = listeners
        let places: [Int] = parcel.numbers("place")
        // Of a program that knew one listener only.
        self.places = places.isEmpty ? listeners.map { _ in 0 } : places
        leavingSince = parcel.number("leaving")
        endingSince = parcel.number("ending")
        var maps: [Map] = []
        for map in parcel.parcels("map") {
            if let number: Int = map.number("attendant"), attendants.indices.contains(number) {
                maps.append(.own(attendants[number]))
            } else if let socket = map.text("socket") {
                maps.append(.foreign(socket: socket))
            }
        }
        self.maps = maps
        let helper: Int? = parcel.number("authenticator")
        authenticator = helper.flatMap { attendants.indices.contains($0) ? attendants[$0] : nil }
        if let read: Int32 = parcel.number("watch.read"), let write: Int32 = parcel.number("watch.write") {
            watch = (read, write)
        } else {
            watch = nil
        }
    }

    /// What the other `init` reads.
    func packed(attendants: [Attendant]) -> Parcel {
        var parcel = Parcel()
        parcel.add("configuration", configuration.packed)
        parcel.add("worker", worker.packed)
        parcel.add("patience", patience)
        for listener in listeners { parcel.add("listener", listener) }
        for place in places { parcel.add("place", place) }
        if let leavingSince { parcel.add("leaving", leavingSince) }
        if let endingSince { parcel.add("ending", endingSince) }
        for map in maps {
            var entry = Parcel()
            entry.add("socket", map.socket)
            if let number = attendants.firstIndex(where: { $0 === map.attendant }) { entry.add("attendant", number) }
            parcel.add("map", entry)
        }
        if let number = attendants.firstIndex(where: { $0 === authenticator }) { parcel.add("authenticator", number) }
        parcel.add("reports.read", reports.read)
        parcel.add("reports.write", reports.write)
        if let talk {
            parcel.add("talk.own", talk.own)
            parcel.add("talk.asking", talk.asking)
        }
        if let block { parcel.add("block", block) }
        if let noted { parcel.add("noted", noted) }
        if let control { parcel.add("control", control) }
        for socket in metrics { parcel.add("metrics", socket) }
        if let watch {
            parcel.add("watch.read", watch.read)
            parcel.add("watch.write", watch.write)
        }
        return parcel
    }

    /// Descriptors that are to live on with it.
    var descriptors: [Int32] {
        listeners + worker.descriptors + pipes
    }
}
