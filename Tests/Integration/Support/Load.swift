import Foundation
import Synchronization

/// Logins one after the other on several threads, while the test does something else.
final class Load: Sendable {
    private struct Tally {
        var left: Int
        var running: Int
        var failures: [String] = []
    }

    private let tally: Mutex<Tally>

    /// Begins at once.
    init(_ port: UInt16, flavour: Flavour = .imap4, logins: Int, atOnce: Int) throws {
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
                }
                tally.withLock { $0.running -= 1 }
            }
        }
    }

    var isDone: Bool { tally.withLock { $0.running == 0 } }
    /// What went wrong, in the words of the server or the error.
    var failures: [String] { tally.withLock { $0.failures } }

    private func take() -> Bool {
        tally.withLock {
            guard $0.left > 0 else { return false }
            $0.left -= 1
            return true
        }
    }

    private func note(_ failure: String) {
        tally.withLock { $0.failures.append(failure) }
    }
}
