import CLinux
import Glibc

/// The passphrase of a key: the first line of a descriptor or file, wiped when this object goes.
public final class Passphrase: CustomStringConvertible {
    // OpenSSL hands out a buffer of this size to copy it to.
    private static let sizeLimit = 1024

    private let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: sizeLimit, alignment: 1)
    private var count = 0

    /// Never the passphrase.
    public var description: String { "***" }

    /// Reads the first line; nothing behind its end is taken from a descriptor, it may be somebody else's.
    init(_ source: PassphraseSource) throws(TLSError) {
        switch source {
        case .descriptor(let descriptor), .handedOn(let descriptor, from: _):
            try Self.withoutEcho(descriptor) { () throws(TLSError) in try readLine(descriptor, source) }
        case .file(let path):
            let descriptor = linux_open(path, O_RDONLY | O_CLOEXEC, 0)
            guard descriptor >= 0 else { throw TLSError(.option, "\(source): \(systemText(linux_errno()))") }
            defer { close(descriptor) }
            try readLine(descriptor, source)
        }
    }

    /// One that was read before.
    /// - Parameter bytes: the line without its end; nil where that is too long to be one.
    public init?(_ line: [UInt8]) {
        guard line.count < Self.sizeLimit else { return nil }
        bytes.copyBytes(from: line)
        count = line.count
    }

    /// Reads the first line for a process that will open the key.
    /// - Throws: `TLSError` naming the key and the source.
    public convenience init(_ source: PassphraseSource, forKey path: String) throws(TLSError) {
        do {
            try self.init(source)
        } catch {
            throw Self.missing(path, error)
        }
    }

    /// The key is of no use without it.
    static func missing(_ path: String, _ error: TLSError) -> TLSError {
        .option("ssl_key_file", path, "the key is encrypted; \(error)")
    }

    deinit {
        linux_wipe(bytes.baseAddress, bytes.count)
        bytes.deallocate()
    }

    /// Copies the passphrase to OpenSSL's buffer.
    /// - Returns: its length; -1 if it does not fit.
    func copy(to buffer: UnsafeMutableRawBufferPointer) -> Int32 {
        guard count <= buffer.count else { return -1 }
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        return Int32(count)
    }

    /// Lends the bytes; they must not be kept.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }

    private func readLine(_ descriptor: Int32, _ source: PassphraseSource) throws(TLSError) {
        while count < bytes.count {
            let got = read(descriptor, bytes.baseAddress?.advanced(by: count), 1)
            if got < 0, linux_errno() == EINTR { continue }
            guard got >= 0 else { throw TLSError(.option, "\(source): \(systemText(linux_errno()))") }
            if got == 0 || bytes[count] == UInt8(ascii: "\n") {
                if count > 0, bytes[count - 1] == UInt8(ascii: "\r") { count -= 1 }
                return
            }
            count += 1
        }
        throw TLSError(.option, "\(source): the first line is longer than \(Self.sizeLimit - 1) bytes")
    }

    private static func withoutEcho(
        _ descriptor: Int32, _ body: () throws(TLSError) -> Void
    ) throws(TLSError) {
        var before = termios()
        guard tcgetattr(descriptor, &before) == 0 else { return try body() }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(descriptor, TCSANOW, &silent)
        defer { tcsetattr(descriptor, TCSANOW, &before) }
        let prompt = "Passphrase of the key: "
        _ = prompt.withCString { write(STDERR_FILENO, $0, prompt.utf8.count) }
        try body()
        _ = "\n".withCString { write(STDERR_FILENO, $0, 1) }
    }
}
