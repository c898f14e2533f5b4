import CLinux

/// A list of C strings with a null pointer behind the last, wiped when it goes: one of them may be a password.
struct CStrings: ~Copyable {
    private let bytes: UnsafeMutableBufferPointer<CChar>
    private let pointers: UnsafeMutablePointer<UnsafePointer<CChar>?>

    init(_ texts: [String]) {
        self.init(texts.map { Array($0.utf8) })
    }

    /// What is behind a NUL is lost.
    init(_ texts: [[UInt8]]) {
        bytes = .allocate(capacity: texts.reduce(0) { $0 + $1.count + 1 })
        pointers = .allocate(capacity: texts.count + 1)
        bytes.initialize(repeating: 0)
        pointers.initialize(repeating: nil, count: texts.count + 1)
        var start = 0
        for (index, text) in texts.enumerated() {
            for (offset, byte) in text.enumerated() { bytes[start + offset] = CChar(bitPattern: byte) }
            pointers[index] = UnsafePointer(bytes.baseAddress?.advanced(by: start))
            start += text.count + 1
        }
    }

    deinit {
        linux_wipe(bytes.baseAddress, bytes.count)
        bytes.deallocate()
        pointers.deallocate()
    }

    /// Lends the list.
    borrowing func withPointers<Result>(_ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result) -> Result {
        body(pointers)
    }
}
