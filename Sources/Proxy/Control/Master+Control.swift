import Daemon
import Glibc
import Logging
import Loop

extension Master {
    /// Generations that accept nobody any more.
    var departing: [Generation] { drainingSince == nil ? leaving : leaving + [current] }

    /// Whether the program was to end with its last session, and has had it.
    var isDrained: Bool { drainingSince != nil && departing.allSatisfy { $0.worker.pid == nil } }

    /// Writes down which processes there are.
    func keepBooks() {
        guard let ledger = launch.ledger else { return }
        for generation in generations {
            guard let block = generation.block, generation.noted != generation.worker.pid else { continue }
            if generation.noted != nil { ledger.clear(block) }
            generation.noted = generation.worker.pid
            guard let pid = generation.noted else { continue }
            ledger[.workerStarts] += 1
            ledger.set(.serving, pid: pid, of: block)
        }
        for generation in departing where generation.noted != nil {
            if let block = generation.block { ledger.set(.leaving, of: block) }
        }
        let programs = attendants.filter { $0.endingSince == nil }.map(\.charge).map {
            Ledger.Program(name: $0.name, isUp: $0.pid != nil, restarts: restarts[$0.name] ?? 0)
        }
        if programs != ledger.programs { ledger.programs = programs }
    }

    /// Does what `perditionctl` has asked workers for.
    func fulfilWishes() {
        for generation in generations {
            if generation.has(.reload) { handle(SIGHUP) }
            if generation.has(.drain) { beginDrain() }
        }
    }

    /// Accepts nobody any more, and ends with the last session.
    private func beginDrain() {
        guard drainingSince == nil, ending == nil else { return }
        let now = LoopThread.clock()
        if candidate != nil { abandonCandidate("the program is to end with its last session") }
        isReloadDue = false
        drainingSince = now
        // Ahead of the signal: the worker looks at it.
        launch.ledger?[.draining] = 1
        Notification.send(.status("Draining: ends with its last session"))
        log.notice("Draining: nobody is accepted any more, and the program ends with its last session")
        for listener in current.listeners { close(listener) }
        current.listeners = []
        current.leavingSince = now
        current.worker.signal(Worker.leave)
    }
}
