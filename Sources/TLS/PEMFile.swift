import CLinux
import COpenSSL
import Glibc

/// The bytes of a file with certificates or a key, wiped when done with. Read here and not by OpenSSL, so that a file
/// that cannot be read is reported with the system's reason.
final class PEMFile {
    // A certificate bundle of every authority there is has a quarter of this.
    private static let sizeLimit = 1 << 20

    private let bytes: UnsafeMutableRawBufferPointer
    private var count = 0

    init(_ path: String, option: String) throws(TLSError) {
        let descriptor = linux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw .option(option, path, systemText(linux_errno())) }
        defer { close(descriptor) }
        bytes = .allocate(byteCount: Self.sizeLimit, alignment: 1)
        while count < bytes.count {
            let got = read(descriptor, bytes.baseAddress?.advanced(by: count), bytes.count - count)
            if got < 0, linux_errno() == EINTR { continue }
            guard got >= 0 else { throw .option(option, path, systemText(linux_errno())) }
            if got == 0 { return }
            count += got
        }
        throw .option(option, path, "longer than \(Self.sizeLimit) bytes, which no such file is")
    }

    deinit {
        linux_wipe(bytes.baseAddress, count)
        bytes.deallocate()
    }

    /// The whole file, for one that holds no secret.
    func copy() -> [UInt8] { Array(bytes[..<count]) }

    /// Runs `body` with a memory BIO at the start of the file.
    func withReader<Value>(_ body: (OpaquePointer) throws(TLSError) -> Value) throws(TLSError) -> Value {
        guard let reader = BIO_new_mem_buf(bytes.baseAddress, Int32(count)) else {
            throw TLSError(.lost, "out of memory")
        }
        defer { BIO_free(reader) }
        ERR_clear_error()
        return try body(reader)
    }
}
