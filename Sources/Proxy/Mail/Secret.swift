import CLinux

/// A password: wiped when the last holder lets go of it, and never shown.
///
/// The bytes live in memory of their own that is not copied on write, so that one wipe leaves nothing behind.
final class Secret: CustomStringConvertible, CustomReflectable {
    private let memory: UnsafeMutableRawBufferPointer
    /// Length in bytes.
    let count: Int

    /// Copies the bytes; the caller wipes its own.
    init(_ bytes: some Collection<UInt8>) {
        count = bytes.count
        memory = .allocate(byteCount: max(bytes.count, 1), alignment: 1)
        memory.copyBytes(from: bytes)
    }

    deinit {
        linux_wipe(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    /// Lends the bytes; they must not be kept.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(rebasing: memory.prefix(count)))
    }

    /// Whether it could not stand on a line of its own.
    var holdsLineEnd: Bool { withBytes { $0.contains { $0 == 10 || $0 == 13 || $0 == 0 } } }

    /// Never the password.
    var description: String { "***" }
    /// Never the password, not even in a dump.
    var customMirror: Mirror { Mirror(self, children: []) }
}

extension [UInt8] {
    /// Overwrites every byte in place and empties the array; its memory stays for the next use.
    mutating func wipe() {
        // To be written to, the empty array would get memory of its own.
        guard !isEmpty else { return }
        withUnsafeMutableBytes { linux_wipe($0.baseAddress, $0.count) }
        removeAll(keepingCapacity: true)
    }

    /// Appends a secret; the array must be wiped after use.
    mutating func append(_ secret: Secret) {
        secret.withBytes { append(contentsOf: $0) }
    }

    /// Appends text as UTF-8.
    mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { append(contentsOf: $0) }
    }
}
