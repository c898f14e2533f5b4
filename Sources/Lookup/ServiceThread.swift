import CLinux
import Glibc
import Loop

/// A thread of its own for work that blocks, outside the pool Swift keeps for work that does not.
enum ServiceThread {
    private final class Work {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }
    }

    /// Runs the work on a new thread, which nobody joins.
    /// - Throws: `Errno` where there can be no more threads.
    static func start(_ body: @escaping @Sendable () -> Void) throws(Errno) {
        let work = Unmanaged.passRetained(Work(body))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                if let argument { unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            work.release()
            throw Errno(code)
        }
        pthread_detach(thread)
    }
}
