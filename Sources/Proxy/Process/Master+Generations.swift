import Daemon
import Glibc
import Logging
import Loop

extension Master {
    /// A generation whose worker is being started.
    struct Candidate {
        let generation: Generation
        let plan: Plan
        let log: LogSink
        let pidFile: PidFile?
        let control: ControlSocket?
        let metrics: [Int32]
        /// When it is given up.
        let deadline: UInt64
        /// Whether the program is another one than before.
        let note: String
    }

    // MARK: Making

    /// A generation for a plan, with its programs: those among `attendants` that do, and new ones, which are added.
    static func makeGeneration(
        _ plan: Plan, _ launch: Launch, _ listeners: Listening.Sockets, among attendants: inout [Attendant]
    ) throws(Failure) -> Generation {
        // Sockets are made beside it.
        Privileges.makeEmptyDirectory()
        var maps: [Generation.Map] = []
        for (number, map) in plan.maps.enumerated() {
            switch map.provider {
            case .running(let socket): maps.append(.foreign(socket: socket))
            case .program(let path):
                let program = ServiceSocket.provider(
                    path, plan.options, mapOptions: map.options, directory: launch.directory, identity: plan.identity)
                let file = path.split(separator: "/").last.map(String.init) ?? path
                let name = plan.maps.count > 1 ? "\(file) (map \(number + 1))" : file
                // Two equal maps are two processes.
                let taken = maps.compactMap(\.attendant)
                maps.append(.own(try attendant(name, "popmap", program, plan, except: taken, among: &attendants)))
            }
        }
        var helper: Attendant?
        if let path = plan.authenticator {
            let program = ServiceSocket.authenticator(path, plan.options)
            helper = try attendant(
                Authenticator.name, "authentication", program, plan, except: [], among: &attendants)
        }
        let errors = try makeErrors(plan)
        return try wrap { () throws(Errno) in
            try Generation(
                plan, launch, sockets: listeners, maps: maps, authenticator: helper, errors: errors)
        }
    }

    private static func attendant(
        _ name: String, _ socketName: String, _ program: ChildProcess.Program, _ plan: Plan, except taken: [Attendant],
        among attendants: inout [Attendant]
    ) throws(Failure) -> Attendant {
        let present = attendants.first { present in
            present.suits(program) && !taken.contains { $0 === present }
        }
        if let present { return present }
        let base = geteuid() == 0 ? "/run/perdition" : "/tmp"
        let socket = try wrap { () throws(ServiceSocket.Failure) in
            try ServiceSocket(socketName, in: base, owner: plan.identity)
        }
        let made = Attendant(name, program, on: socket, errors: try makeErrors(plan))
        attendants.append(made)
        return made
    }

    /// Where a child's standard error goes; nowhere else where that is the log already.
    private static func makeErrors(_ plan: Plan) throws(Failure) -> ErrorPipe? {
        guard (try? LogDestination(plan.options.logFacility)) != .standardError else { return nil }
        return try wrap { () throws(DaemonError) in try ErrorPipe() }
    }

    // MARK: Replacing

    /// Opens and starts everything for a plan, beside what serves.
    func raise(_ plan: Plan, note: String) {
        var listeners = Listening.Sockets()
        do throws(Failure) {
            let sink = plan.options.logFacility == options.logFacility ? sink : try Self.openLog(plan)
            listeners = try Self.wrap { () throws(Listening.Failure) in
                try Listening.open(plan.options, keeping: current.listeners, inherited: launch.inherited)
            }
            var pidFile: PidFile?
            let control = try Self.wrap { () throws(Listening.Failure) in
                try ControlSocket.open(plan.options, keeping: self.control)
            }
            var metrics: [Int32] = []
            do throws(Failure) {
                metrics = try Self.wrap { () throws(Listening.Failure) in
                    try MetricsSocket.open(plan.options, keeping: self.metrics)
                }
                if plan.options.pidFilePath != self.pidFile?.path { pidFile = try Self.writePidFile(plan, log) }
                let generation = try Self.makeGeneration(plan, launch, listeners, among: &attendants)
                generation.control = control?.listener
                generation.metrics = metrics
                generation.block = launch.ledger.flatMap { _ in
                    Ledger.freeBlock(besides: generations.compactMap(\.block))
                }
                generation.elders = generations.compactMap(\.talk?.asking)
                let now = LoopThread.clock()
                candidate = Candidate(
                    generation: generation, plan: plan, log: sink, pidFile: pidFile, control: control,
                    metrics: metrics,
                    deadline: now + Self.startPatience, note: note)
                if let fault = generation.worker.startIfDue(now: now) { abandonCandidate(fault) }
            } catch {
                if control?.path != self.control?.path { control?.remove() }
                for socket in metrics where !self.metrics.contains(socket) { close(socket) }
                pidFile?.remove()
                throw error
            }
        } catch {
            for listener in listeners.descriptors where !current.listeners.contains(listener) { close(listener) }
            sweep()
            refuse(error.description)
        }
    }

    /// Whether the new worker is ready, or never will be.
    func lookAtCandidate() {
        guard let candidate else { return }
        if candidate.generation.has(.ready) {
            promote(candidate)
        } else if LoopThread.clock() >= candidate.deadline {
            abandonCandidate("the new worker was not ready within \(Self.startPatience / 1000) s")
        }
    }

    private func promote(_ candidate: Candidate) {
        let old = current
        let changes = Plan.changes(from: options, to: candidate.plan.options)
        self.candidate = nil
        current = candidate.generation
        for listener in old.listeners where !current.listeners.contains(listener) { close(listener) }
        old.listeners = []
        options = candidate.plan.options
        identity = candidate.plan.identity
        sink = candidate.log
        log = sink.logger(level: LogSink.level(quiet: options.quiet, debug: options.debug))
        if options.pidFilePath != pidFile?.path {
            pidFile?.remove()
            pidFile = candidate.pidFile
        }
        if candidate.control?.path != control?.path { control?.remove() }
        control = candidate.control
        for socket in metrics where !candidate.metrics.contains(socket) { close(socket) }
        metrics = candidate.metrics
        launch.ledger?[.configured] = UInt64(clamping: time(nil))
        launch.ledger?[.reloads] += 1
        for note in candidate.plan.notes { log.notice("\(note)") }
        var line = "Reloaded\(candidate.note): "
        line += changes.isEmpty ? "no option has changed" : "changed \(changes.joined(separator: ", "))"
        line += "; worker \(current.worker.pid ?? 0) serves"
        if let pid = old.worker.pid {
            line += ", \(pid) stays for its sessions"
            old.leavingSince = LoopThread.clock()
            old.worker.signal(Worker.leave)
            leaving.append(old)
            announcement = (line, old, LoopThread.clock() + Self.endPatience)
        } else {
            old.close()
            log.notice("\(line)")
            launch.ledger?.post(line, isGood: true)
            sayReady(state)
        }
        if options.debug { for line in options.dumpLines { log.debug("\(line)") } }
        sweep()
    }

    /// Says that a reload is done, once nobody is taken by the worker of before.
    /// - Parameter isOver: whether that has ended.
    func announce(isOver: Bool = false) {
        guard let announcement else { return }
        guard isOver || announcement.old.has(.closed) || LoopThread.clock() >= announcement.deadline else { return }
        self.announcement = nil
        log.notice("\(announcement.line)")
        launch.ledger?.post(announcement.line, isGood: true)
        sayReady(state)
    }

    /// Gives up what was to serve; what serves goes on.
    func abandonCandidate(_ reason: String) {
        guard let candidate else { return }
        self.candidate = nil
        let generation = candidate.generation
        // Nobody is told of the end of a process that is not in the books any more.
        generation.worker.signal(SIGKILL)
        for listener in generation.listeners where !current.listeners.contains(listener) { close(listener) }
        generation.close()
        if candidate.control?.path != control?.path { candidate.control?.remove() }
        for socket in candidate.metrics where !metrics.contains(socket) { close(socket) }
        candidate.pidFile?.remove()
        sweep()
        if ending == nil { refuse(reason) }
    }

    /// Says that nothing comes of a reload.
    func refuse(_ reason: String) {
        log.error("Reload refused, all goes on as before: \(reason)")
        launch.ledger?[.refusals] += 1
        launch.ledger?.post(reason, isGood: false)
        sayReady("\(state); reload refused: \(reason)")
    }

    // MARK: Leaving

    /// When something is to be done about those that should be gone.
    var overdueTimes: [UInt64] {
        let patience = Self.endPatience
        return departing.compactMap { generation in
            if let ending = generation.endingSince { return ending + patience }
            return drainEnd(generation)
        } + attendants.compactMap { $0.endingSince.map { $0 + patience } }
    }

    /// When the last sessions of a generation end, by the newest `--drain_timeout`.
    private func drainEnd(_ generation: Generation) -> UInt64? {
        guard options.drainTimeout > 0, let since = generation.leavingSince else { return nil }
        return since + UInt64(options.drainTimeout) * 1000
    }

    /// Ends those that have had their time.
    func endOverdue(now: UInt64) {
        for generation in departing {
            if let ending = generation.endingSince {
                guard now >= ending + Self.endPatience else { continue }
                generation.worker.signal(SIGKILL)
                generation.endingSince = now
            } else if let end = drainEnd(generation), now >= end {
                log.notice("Worker \(generation.worker.pid ?? 0) has had \(options.drainTimeout) s (--drain_timeout)")
                generation.worker.signal(SIGTERM)
                generation.worker.signal(SIGCONT)
                generation.endingSince = now
            }
        }
        for attendant in attendants {
            guard let ending = attendant.endingSince, now >= ending + Self.endPatience else { continue }
            attendant.charge.signal(SIGKILL)
            attendant.endingSince = now
        }
        if let rehearsal, now >= rehearsal.deadline { kill(rehearsal.pid, SIGKILL) }
    }

    /// A worker from before a reload has ended.
    func left(_ generation: Generation, _ pid: pid_t, _ status: Int32) {
        if announcement?.old === generation { announce(isOver: true) }
        generation.worker.left()
        if let block = generation.block { launch.ledger?.clear(block) }
        for other in generations { other.elders.removeAll { $0 == generation.talk?.asking } }
        generation.close()
        leaving.removeAll { $0 === generation }
        if status == 0 {
            log.info("Worker \(pid), from before a reload, has left")
        } else {
            log.error("Worker \(pid), from before a reload, \(Charge.end(status))")
        }
        sweep()
    }

    /// Ends the programs nobody needs any more, and takes away what is left of those that have ended.
    func sweep() {
        let needed = ([current] + leaving + (candidate.map { [$0.generation] } ?? [])).flatMap(\.attendants)
        for attendant in attendants where !needed.contains(where: { $0 === attendant }) {
            guard attendant.charge.pid != nil else {
                attendant.remove()
                attendants.removeAll { $0 === attendant }
                continue
            }
            guard attendant.endingSince == nil else { continue }
            attendant.charge.signal(SIGTERM)
            attendant.charge.signal(SIGCONT)
            attendant.endingSince = LoopThread.clock()
        }
    }
}
