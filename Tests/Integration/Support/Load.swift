import Foundation
import Synchronization

/// Logins one after the other on several threads, while the test does something else.
final class Load: Sendable {
    private struct Tally {
        var left: Int
        var running: Int
        var done = 0
        var failures: [String] = []
    }

    private let tally: Mutex<Tally>

    /// Begins at once.
    ///
    /// - Parameters:
    ///   - logins: How many at most; `stop` may come first.
    ///   - pause: Milliseconds each thread takes between two; each login leaves the system with connections to forget.
    init(
        _ port: UInt16, flavour: Flavour = .imap4, logins: Int = .max, atOnce: Int, pause: UInt32 = 0
    ) throws {
        tally = Mutex(Tally(left: logins, running: atOnce))
        for _ in 0..<atOnce {
            Thread.detachNewThread { [self] in
                while take() {
                    do {
                        let answer = try MailClient(port).logIn(flavour, within: 60)
                        if answer != flavour.success { note(answer) }
                    } catch {
                        note("\(error)")
                    }
                    Nap.milliseconds(pause)
                }
                tally.withLock { $0.running -= 1 }
            }
        }
    }

    /// Begins no further login, waits for those under way, and tells how many there were.
    func stop() throws -> Int {
        tally.withLock { $0.left = 0 }
        try eventually("the last logins are over", within: 120) { isDone }
        return tally.withLock { $0.done }
    }

    /// How many have begun so far.
    var begun: Int { tally.withLock { $0.done } }
    var isDone: Bool { tally.withLock { $0.running == 0 } }
    /// What went wrong, in the words of the server or the error.
    var failures: [String] { tally.withLock { $0.failures } }

    private func take() -> Bool {
        tally.withLock {
            guard $0.left > 0 else { return false }
            $0.left -= 1
            $0.done += 1
            return true
        }
    }

    private func note(_ failure: String) {
        tally.withLock { $0.failures.append(failure) }
    }
}
