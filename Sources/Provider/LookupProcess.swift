import CLinux
import Daemon
import Glibc
public import Lookup

/// Lookups in a process of their own: the same program, started anew for each worker when it is first needed.
///
/// For what cannot be interrupted, and may take forever or crash on a key that an attacker chose. A process that is
/// late is killed, which neither leaves a thread behind nor a lock; the next lookup starts another. There is one at
/// most for each instance, and it ends with the worker's thread.
public final class LookupProcess {
    /// The argument the process is told by what it is for.
    static let argument = "--lookup_process"
    /// Bytes of what the process is told at its start.
    static let setupLimit = 4 << 20

    private struct Child {
        let pid: Int32
        let descriptor: Int32
        var input = Netstring(limit: Limits.reply)
    }

    private enum Outcome {
        case answer(Answer)
        case late
        case ended
    }

    private let setup: [UInt8]
    private var child: Child?

    /// A process that is started with the first lookup.
    /// - Parameter setup: what it is told at its start, at most 4 MiB; see `LookupChild`.
    public init(setup: [UInt8]) {
        self.setup = setup
    }

    deinit {
        end()
    }

    /// Looks a key up.
    /// - Parameters:
    ///   - key: at most `Limits.key` bytes.
    ///   - patience: milliseconds until the process is killed and the answer is `temporary`.
    public func lookup(_ key: [UInt8], patience: Int) -> Answer {
        let deadline = ServiceClock.now() &+ UInt64(max(0, patience)) &* 1_000_000
        while true {
            let isNew = child == nil
            if let reason = startIfNeeded(deadline) { return .temporary(reason) }
            switch ask(key, deadline) {
            case .answer(let answer): return answer
            case .late:
                end()
                return .temporary("a lookup took longer than \(patience) ms and was ended")
            case .ended:
                let how = end()
                // One that served before may have died of something else: this key has not had its chance.
                if isNew { return .temporary("the process that looks up ended with \(how)") }
            }
        }
    }

    /// Ends the process; the next lookup starts another.
    /// - Returns: how it ended, for the log.
    @discardableResult
    public func end() -> String {
        guard let child = child.take() else { return "nothing" }
        close(child.descriptor)
        kill(child.pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(child.pid, &status, 0) < 0, linux_errno() == EINTR {}
        return status & 0x7f == 0 ? "status \(status >> 8 & 0xff)" : "signal \(status & 0x7f)"
    }

    /// - Returns: why it does not start; nil where it runs.
    private func startIfNeeded(_ deadline: UInt64) -> String? {
        if child != nil { return nil }
        guard setup.count <= Self.setupLimit else { return "what a process that looks up must know is too long" }
        var ends: [Int32] = [-1, -1]
        guard linux_socketpair(&ends) == 0 else {
            return "no process can be started: \(String(cString: strerror(linux_errno())))"
        }
        let name = CommandLine.arguments.first ?? "perdition-map"
        var program = ChildProcess.Program(path: "/proc/self/exe", arguments: [name, Self.argument])
        program.environment = ChildProcess.environment(
            without: Notification.variables.union([ServiceOptions.mapOptionVariable]))
        program.descriptors = [ends[1]]
        program.closesAfterStart = [ends[1]]
        do {
            child = Child(pid: try ChildProcess.start(program), descriptor: ends[0])
        } catch {
            close(ends[0])
            return "\(error)"
        }
        switch send(setup, deadline) {
        case .late:
            end()
            return "a process that looks up did not start in time"
        // What it ended with is seen by the lookup.
        case .ended, .answer: return nil
        }
    }

    private func ask(_ key: [UInt8], _ deadline: UInt64) -> Outcome {
        switch send(key, deadline) {
        case .late: return .late
        case .ended: return .ended
        case .answer: return receive(deadline)
        }
    }

    /// Sends one netstring; `.answer` where all of it went.
    private func send(_ payload: [UInt8], _ deadline: UInt64) -> Outcome {
        guard let descriptor = child?.descriptor else { return .ended }
        var output: [UInt8] = []
        Netstring.open(payload.count, in: &output)
        output += payload
        output.append(UInt8(ascii: ","))
        var sent = 0
        while sent < output.count {
            let count = unsafe output.withUnsafeBytes { bytes in
                unsafe linux_send(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent)
            }
            if count >= 0 {
                sent += count
            } else {
                switch linux_errno() {
                case EINTR: continue
                case EAGAIN: guard Self.wait(descriptor, POLLOUT, deadline) else { return .late }
                default: return .ended
                }
            }
        }
        return .answer(.notFound)
    }

    private func receive(_ deadline: UInt64) -> Outcome {
        guard let descriptor = child?.descriptor else { return .ended }
        while true {
            do {
                if let payload = try child?.input.next() { return .answer(Wire.answer(payload)) }
            } catch {
                return .ended
            }
            guard Self.wait(descriptor, POLLIN, deadline) else { return .late }
            let count = unsafe withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 16) { room in
                let count = unsafe recv(descriptor, room.baseAddress, room.count, 0)
                if count > 0 { unsafe child?.input.append(UnsafeRawBufferPointer(rebasing: room[..<count])) }
                return count
            }
            if count < 0, [EINTR, EAGAIN].contains(linux_errno()) { continue }
            guard count > 0 else { return .ended }
        }
    }

    /// Waits until there is something to do or to see; false where that takes too long.
    private static func wait(_ descriptor: Int32, _ event: Int32, _ deadline: UInt64) -> Bool {
        while true {
            let now = ServiceClock.now()
            guard now < deadline else { return false }
            var wanted = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let milliseconds = min((deadline - now) / 1_000_000 + 1, UInt64(Int32.max))
            if poll(&wanted, 1, Int32(milliseconds)) > 0 { return true }
        }
    }
}
