import Control
import Glibc
import Logging
import Loop
import Synchronization

/// Where a worker answers `perditionctl`, and other workers that do so; on its first loop.
///
/// Requests come from root over the control socket, and from a younger worker, who is asked for all of them, over a pair
/// of sockets that nobody else has. One request is one line; what it may take is bounded like everything else here.
final class ControlDesk {
    /// Requests at a time; more wait in the socket.
    private static let places = 4
    /// Milliseconds a request may take to arrive.
    private static let patience: UInt64 = 5_000
    /// Milliseconds an answer may take to leave.
    private static let longPatience: UInt64 = 30_000
    /// Milliseconds a reload may take: more than the master gives it.
    static let reloadTime: UInt64 = 90_000

    let loop: Loop
    let loops: [Loop]
    let services: Services
    let orders: Worker.Orders.Desk
    let ledger: Ledger?
    private let reports: Int32?
    private var acceptor: Acceptor?
    private var guests = 0
    private var isClosed = false
    private(set) var elders: [ElderWorker] = []

    /// A desk that is closed yet.
    init(
        _ loop: Loop, _ loops: [Loop], _ services: Services, _ orders: Worker.Orders.Desk, ledger: Ledger?,
        reports: Int32?
    ) {
        self.loop = loop
        self.loops = loops
        self.services = services
        self.orders = orders
        self.ledger = ledger
        self.reports = reports
    }

    /// Answers from now on.
    func open() {
        elders = orders.elders.compactMap { ElderWorker($0, on: loop.thread) }
        acceptFromOutside()
        guard let talk = orders.talk else { return }
        loop.start { loop in
            guard let channel = try? Channel(talk, on: loop.thread) else { return }
            await (loop.thread.tenant as? Floor)?.desk?.answerYounger(channel)
        }
    }

    /// Another worker is asked from outside from now on, unless there is none to come.
    func closeDoors() {
        guard ledger?[.draining] != 1 else { return }
        isClosed = true
        acceptor?.stop()
        acceptor = nil
    }

    private func acceptFromOutside() {
        guard acceptor == nil, !isClosed, let listener = orders.listener, guests < Self.places else { return }
        acceptor = try? Acceptor(listener, on: loop.thread) { [unowned self] descriptor, _ in
            welcome(descriptor)
        } failed: { _ in
        }
    }

    private func welcome(_ descriptor: Int32) {
        guests += 1
        // Who comes now waits until somebody has left.
        if guests >= Self.places {
            acceptor?.stop()
            acceptor = nil
        }
        services.errands.add(1, ordering: .relaxed)
        loop.start { loop in
            guard let floor = loop.thread.tenant as? Floor, let desk = floor.desk else { return }
            await desk.serve(descriptor)
            desk.guests -= 1
            desk.services.errands.subtract(1, ordering: .relaxed)
            desk.acceptFromOutside()
            floor.leaveIfEmpty()
        }
    }

    private func serve(_ descriptor: Int32) async {
        guard let channel = try? Channel(descriptor, on: loop.thread) else { return }
        let stream = Stream(channel, patience: Self.patience)
        defer { stream.close() }
        do throws(StreamError) {
            let answer = await answer(try await stream.line(), isWhole: true)
            stream.patience = Self.longPatience
            try await stream.send(Array(answer.text.utf8))
        } catch {
            services.log.info("perditionctl: its connection ended early")
        }
    }

    // MARK: Other workers

    /// Answers for this worker alone, as long as there is somebody who could ask.
    private func answerYounger(_ channel: Channel) async {
        let stream = Stream(channel, patience: nil)
        while true {
            do throws(StreamError) {
                stream.patience = nil
                let line = try await stream.line()
                let words = line.split(separator: UInt8(ascii: " "), maxSplits: 1)
                guard words.count == 2 else { continue }
                let answer = await answer(Array(words[1]), isWhole: false)
                stream.patience = Self.longPatience
                // Behind an answer that was cut off it is a line of its own all the same.
                try await stream.send([UInt8(ascii: "\n")] + words[0] + [UInt8(ascii: "\n")] + Array(answer.text.utf8))
            } catch {
                if error == .timedOut { continue }
                return stream.close()
            }
        }
    }

    /// - Parameter isWhole: whether the workers of before are asked, too.
    private func answer(_ line: [UInt8], isWhole: Bool) async -> ControlAnswer {
        let command: ControlCommand
        do throws(ControlCommand.Fault) {
            command = try ControlCommand(line: line)
        } catch {
            return ControlAnswer(error: error.description)
        }
        var answer = await answer(command)
        guard isWhole, answer.error == nil else { return answer }
        switch command {
        case .who, .kick, .purge:
            for elder in elders where !elder.isGone {
                let part = await elder.ask(command)
                if elder.isGone { continue }
                guard let part, part.error == nil, part.columns == answer.columns else {
                    answer.warnings.append("a worker from before a reload did not answer, its sessions are not here")
                    continue
                }
                answer.rows += part.rows
            }
            elders.removeAll { $0.isGone }
        case .stats, .lookup, .reload, .drain: break
        }
        if case .kick(let user) = command {
            let count = answer.rows.reduce(0) { $0 + (Int($1[0]) ?? 0) }
            services.log.notice("Ended \(count) sessions of \"\(Printable.escaped(user))\", as perditionctl asked")
        }
        return answer
    }

    /// Tells the master of a wish.
    func wish(_ report: Worker.Report) {
        Worker.report(report, to: reports)
    }
}
