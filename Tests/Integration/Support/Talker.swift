import Foundation
import Synchronization

/// A client that asks for nothing as fast as it can, and comes back when it is sent away.
final class Talker: Sendable {
    private let state = Mutex((rounds: 0, hasEnded: false))

    /// Begins at once, on a thread of its own.
    init(_ port: UInt16) {
        Thread.detachNewThread { [self] in
            let words = Array(String(repeating: "a NOOP\r\n", count: 900).utf8)
            while !state.withLock({ $0.hasEnded }) {
                guard let client = try? MailClient(port) else { return }
                guard (try? client.send(words)) != nil, let answer = try? client.bytes(900 * 11), answer.last == 10
                else { return }
                state.withLock { $0.rounds += 1 }
            }
        }
    }

    /// How often it has been answered 900 times.
    var rounds: Int { state.withLock { $0.rounds } }

    func stop() {
        state.withLock { $0.hasEnded = true }
    }
}
