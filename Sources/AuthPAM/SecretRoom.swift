import CLinux
import Glibc

/// Memory for a password: never copied, wiped when it is given up.
final class SecretRoom {
    private let memory: UnsafeMutablePointer<UInt8>
    private let size: Int
    private(set) var count = 0

    /// Room for so many bytes.
    init(size: Int) {
        self.size = size
        memory = .allocate(capacity: size + 1)
        memory.initialize(repeating: 0, count: size + 1)
    }

    deinit {
        linux_wipe(memory, size + 1)
        memory.deallocate()
    }

    /// What is in it.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    /// Reads once from a descriptor, behind what is there.
    /// - Returns: how many bytes came; 0 at the end or where there is no room left, less where reading fails.
    func read(from descriptor: Int32) -> Int {
        guard count < size else { return 0 }
        let got = Glibc.read(descriptor, memory + count, size - count)
        if got > 0 { count += got }
        return got
    }

    /// Reads a line, less its end: typed unseen on a terminal, else from standard input.
    func readPassword() {
        if isatty(STDIN_FILENO) == 1, let typed = getpass("Password: ") {
            count = min(strlen(typed), size)
            memcpy(memory, typed, count)
            linux_wipe(typed, strlen(typed))
            return
        }
        while !bytes.contains(UInt8(ascii: "\n")), read(from: STDIN_FILENO) > 0 {}
        if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) { count = end }
    }

    /// Ends the text at a place in it with a NUL, over what stands there.
    func endText(at index: Int) {
        guard index <= size else { return }
        memory[index] = 0
    }

    /// Lends the text that begins at a place in it and goes up to a NUL.
    func text(at index: Int) -> UnsafePointer<CChar> {
        UnsafeRawPointer(memory + min(index, size)).assumingMemoryBound(to: CChar.self)
    }
}
