import Control
import Glibc
import Loop
import Synchronization

extension ControlDesk {
    /// What this worker has to say.
    func answer(_ command: ControlCommand) async -> ControlAnswer {
        switch command {
        case .who: await who()
        // As who shows it, or as it is.
        case .kick(let user): await kick([Printable.escaped(user), String(decoding: user, as: UTF8.self)])
        case .stats: ControlAnswer(columns: ["name", "value"], rows: Statistics(services, ledger).rows)
        case .lookup(let user): await (loop.thread.tenant as? Floor)?.trace(user) ?? ControlAnswer(error: "no loop")
        case .purge: purge()
        case .reload: await reload()
        case .drain: await drain()
        }
    }

    private func who() async -> ControlAnswer {
        var answer = ControlAnswer(columns: SessionEntry.columns)
        let now = WallTime.now
        for other in loops {
            let entries = await other.ask { loop in await (loop.thread.tenant as? Floor)?.entries() ?? [] }
            answer.rows += entries.map { $0.cells(now: now, worker: getpid()) }
        }
        return answer
    }

    private func kick(_ names: [String]) async -> ControlAnswer {
        var count = 0
        for other in loops {
            count += await other.ask { loop in await (loop.thread.tenant as? Floor)?.kick(names) ?? 0 }
        }
        return ControlAnswer(columns: ["kicked", "worker"], rows: [["\(count)", "\(getpid())"]])
    }

    private func purge() -> ControlAnswer {
        let count = services.maps.reduce(0) { $0 + $1.purge() }
        return ControlAnswer(columns: ["purged", "worker"], rows: [["\(count)", "\(getpid())"]])
    }

    private func reload() async -> ControlAnswer {
        guard let ledger else { return ControlAnswer(error: "there is no memory for an answer: send SIGHUP") }
        let before = ledger[.reports]
        wish(.reload)
        let deadline = LoopThread.clock() &+ Self.reloadTime
        while ledger[.reports] == before {
            guard LoopThread.clock() < deadline else { return ControlAnswer(error: "no word of it yet: see the log") }
            await loop.thread.sleep(20)
        }
        guard ledger[.reportIsGood] == 1 else {
            return ControlAnswer(error: "refused, all goes on as before: \(ledger.report)")
        }
        return ControlAnswer(columns: ["result"], rows: [[ledger.report]])
    }

    private func drain() async -> ControlAnswer {
        guard let ledger else { return ControlAnswer(error: "there is no memory for an answer: send SIGTERM") }
        wish(.drain)
        let deadline = LoopThread.clock() &+ 10_000
        while ledger[.draining] != 1 {
            guard LoopThread.clock() < deadline else { return ControlAnswer(error: "no word of it yet: see the log") }
            await loop.thread.sleep(20)
        }
        let sums = ledger.sums()
        return ControlAnswer(
            columns: ["sessions", "logging_in"],
            rows: [
                [
                    "\(sums[Tally.place(.relaying)])", "\(sums[Tally.place(.loggingIn)])",
                ]
            ])
    }
}
