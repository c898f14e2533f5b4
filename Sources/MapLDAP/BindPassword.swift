import CLinux

/// The password of the URL: kept for as long as the provider may have to connect, wiped then, and never shown.
final class BindPassword: Sendable, CustomStringConvertible, CustomReflectable {
    // Written before anybody else can see it, and read only from then on.
    private nonisolated(unsafe) let memory: UnsafeMutableBufferPointer<UInt8>

    /// Copies the bytes; the caller wipes its own.
    init(_ bytes: [UInt8]) {
        memory = .allocate(capacity: bytes.count)
        _ = memory.initialize(from: bytes)
    }

    deinit {
        linux_wipe(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    /// Lends the bytes; they must not be kept.
    func withBytes<Result>(_ body: (UnsafeMutableBufferPointer<UInt8>) -> Result) -> Result {
        body(memory)
    }

    /// Never the password.
    var description: String { "***" }
    /// Never the password, not even in a dump.
    var customMirror: Mirror { Mirror(self, children: []) }
}
