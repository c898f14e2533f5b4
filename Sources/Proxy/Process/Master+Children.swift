import Daemon
import Glibc
import Logging
import Loop

/// What the master hears of its processes, and how it ends them.
extension Master {
    /// Takes what children say: of stuck providers, and on standard error.
    func listen() {
        let now = LoopThread.clock()
        guard now >= nextReport else { return }
        var hasHeard = generations.reduce(false) { $1.listen() || $0 }
        for charge in charges {
            if charge.errors?.take(from: charge.name, log: log, now: now) == true { hasHeard = true }
        }
        rehearsal?.listen()
        for generation in generations {
            guard let watch = generation.watch else { continue }
            for report in StuckReport.receive(from: watch.read) {
                hasHeard = true
                replaceStuck(report, of: generation, now: now)
            }
        }
        if launch.watchdog != nil, current.has(.alive) { feedWatchdog(now: now) }
        if hasHeard { nextReport = now + Self.reportInterval }
    }

    /// Ends a provider that gives no answer; its end is then seen as any other.
    private func replaceStuck(_ report: StuckReport, of generation: Generation, now: UInt64) {
        guard let number = Int(exactly: report.map), generation.maps.indices.contains(number),
            let attendant = generation.maps[number].attendant, attendant.endingSince == nil, ending == nil
        else { return }
        let charge = attendant.charge
        if let line = charge.endIfStuck(lastAnswer: report.lastAnswer, patience: generation.patience, now: now) {
            log.error("\(line)")
        }
    }

    /// Takes note of every process that has ended.
    func reap() {
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            ended(pid, status)
        }
    }

    private func ended(_ pid: pid_t, _ status: Int32) {
        let now = LoopThread.clock()
        if let charge = charges.first(where: { $0.pid == pid }) {
            charge.errors?.drain(from: charge.name, log: log, now: now)
        }
        if rehearsal?.pid == pid {
            endRehearsal(status)
        } else if candidate?.generation.worker.pid == pid {
            candidate?.generation.worker.left()
            abandonCandidate("the new worker \(Charge.end(status))")
        } else if let generation = leaving.first(where: { $0.worker.pid == pid }) {
            left(generation, pid, status)
        } else if let attendant = attendants.first(where: { $0.charge.pid == pid && $0.endingSince != nil }) {
            attendant.charge.left()
            sweep()
        } else if drainingSince != nil, current.worker.pid == pid {
            current.worker.left()
            if status != 0 { log.error("Worker \(pid), whose sessions were waited for, \(Charge.end(status))") }
        } else if let charge = charges.first(where: { $0.pid == pid }) {
            if current.worker.pid == pid {
                launch.ledger?[.workerCrashes] += 1
            } else {
                restarts[charge.name, default: 0] += 1
            }
            let line = charge.ended(status: status, now: now)
            if ending == nil, !endsAll { log.error("\(line)") }
        }
    }

    // MARK: End

    /// The workers first, so that their last lookups still find a provider.
    func endAll(_ signals: SignalDescriptor) {
        endsAll = true
        if let rehearsal { kill(rehearsal.pid, SIGKILL) }
        end(generations.map(\.worker), signals)
        end(attendants.map(\.charge), signals)
    }

    private func end(_ charges: [Charge], _ signals: SignalDescriptor) {
        for charge in charges {
            charge.signal(SIGTERM)
            // One that somebody has stopped hears of it, too.
            charge.signal(SIGCONT)
        }
        var deadline = LoopThread.clock() + Self.endPatience
        while charges.contains(where: { $0.pid != nil }) {
            if LoopThread.clock() >= deadline {
                for charge in charges { charge.signal(SIGKILL) }
                deadline += 1000
            }
            wait(signals, until: deadline)
            while let signal = signals.next() {
                // Asked twice: no more waiting.
                if signal == SIGTERM || signal == SIGINT { for charge in charges { charge.signal(SIGKILL) } }
            }
            listen()
            reap()
        }
    }
}
