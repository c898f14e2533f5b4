import CLinux
import Glibc
import Loop
import Synchronization

/// A connection that is being made, in a thread of its own: resolving a name, or a handshake with a server that has
/// gone silent, takes as long as it likes, and whoever wants the connection does not.
final class Attempt<Connection: SQLConnection>: Sendable {
    typealias Outcome = Result<Connection, SQLFault>

    /// Held by the thread while it connects; nobody else asks for it until the bell has rung.
    private let outcome = Mutex<Outcome?>(nil)
    private let bell: Int32

    /// Begins to connect.
    /// - Throws: `SQLFault` where the system has no descriptor or thread left.
    init(_ settings: Connection.Settings, host: Int, by deadline: Deadline) throws(SQLFault) {
        bell = linux_eventfd()
        guard bell >= 0 else { throw SQLFault(.temporary, "cannot connect: \(Errno.last)") }
        do {
            try startThread(name: "connect") { [self] in
                outcome.withLock { outcome in
                    do throws(SQLFault) {
                        outcome = .success(try Connection.open(settings, host: host, by: deadline))
                    } catch {
                        outcome = .failure(error)
                    }
                }
                var one: UInt64 = 1
                _ = write(bell, &one, 8)
            }
        } catch {
            throw SQLFault(.temporary, "cannot connect: \(error)")
        }
    }

    /// A connection that comes too late for anybody is closed here.
    deinit {
        if bell >= 0 { close(bell) }
    }

    /// What came of it; nil where nothing has by then. It is to be asked for once.
    func wait(by deadline: Deadline) -> sending Outcome? {
        guard deadline.wait(bell, POLLIN) != 0 else { return nil }
        return outcome.withLock { outcome in
            let taken = outcome
            outcome = nil
            return taken
        }
    }
}
