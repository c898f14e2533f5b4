import CLinux
import Glibc

/// Signals as something to read: they are blocked for the whole process and arrive one after the other.
public struct SignalDescriptor: Sendable {
    /// Readable while a signal waits; non-blocking.
    public let descriptor: Int32

    /// Takes over the given signals; to be called before any thread is started.
    /// - Throws: the value of `errno(3)` where no descriptor can be had.
    public init(_ signals: [Int32]) throws(SignalFailure) {
        descriptor = linux_signalfd(signals, Int32(signals.count))
        guard descriptor >= 0 else { throw SignalFailure(code: linux_errno()) }
    }

    /// The next signal that waits; nil where none does.
    public func next() -> Int32? {
        let signal = linux_next_signal(descriptor)
        return signal == 0 ? nil : signal
    }
}

/// Why signals cannot be read.
public struct SignalFailure: Error, CustomStringConvertible {
    /// The value of `errno(3)`.
    public let code: Int32
    /// A sentence for the log.
    public var description: String { "signals cannot be read: \(String(cString: strerror(code)))" }
}
