import CLinux
import Glibc

extension LoopThread {
    /// Starts a thread of its own that runs this loop until `stop()`.
    /// - Parameter name: what `ps -L` shows, 15 bytes at most.
    /// - Throws: `Errno` where no thread can be had.
    public func start(name: String) throws(Errno) {
        try startThread(name: name) { self.run() }
    }
}

/// Starts a detached thread with every signal blocked.
/// - Parameters:
///   - name: what `ps -L` shows, 15 bytes at most.
///   - body: what it does.
/// - Throws: `Errno` where no thread can be had.
public func startThread(name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
    final class Work {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 512 * 1024)
    // A thread inherits the mask of its maker; signals are for the one that reads them from a descriptor.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let work = Unmanaged.passRetained(Work(name: name, body: body))
    var thread = pthread_t()
    let code = unsafe pthread_create(
        &thread, &attributes,
        { argument in
            guard let argument else { return nil }
            let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
            nameThread(work.name)
            linux_crash_thread()
            work.body()
            return nil
        }, work.toOpaque())
    guard code == 0 else {
        work.release()
        throw Errno(code)
    }
}

/// Names the calling thread; the name of the first is that of the process in `ps`.
/// - Parameter name: 15 bytes at most.
public func nameThread(_ name: String) {
    String(name.prefix(15)).withCString { _ = linux_prctl(Int32(linux_PR_SET_NAME), UInt(bitPattern: $0)) }
}
