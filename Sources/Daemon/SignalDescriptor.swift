import CLinux
import Glibc

/// Signals as something to read: they are blocked for the whole process and arrive one after the other.
public struct SignalDescriptor: Sendable {
    /// Readable while a signal waits; non-blocking.
    public let descriptor: Int32

    /// Takes over the given signals; to be called before any thread is started.
    /// - Throws: the value of `errno(3)` where no descriptor can be had.
    public init(_ signals: [Int32]) throws(SignalFailure) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = linux_signalfd(&set)
        guard descriptor >= 0 else { throw SignalFailure(code: linux_errno()) }
    }

    /// The next signal that waits; nil where none does.
    public func next() -> Int32? {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard unsafe read(descriptor, &info, size) == size else { return nil }
        return Int32(truncatingIfNeeded: info.ssi_signo)
    }
}

/// Why signals cannot be read.
public struct SignalFailure: Error, CustomStringConvertible {
    /// The value of `errno(3)`.
    public let code: Int32
    /// A sentence for the log.
    public var description: String { "signals cannot be read: \(String(cString: strerror(code)))" }
}
