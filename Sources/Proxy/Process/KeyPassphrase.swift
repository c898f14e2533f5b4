import CLinux
import Glibc
import TLS

/// The passphrase of the key, read once by the master: a worker that is started again must find it, too.
enum KeyPassphrase {
    /// The first line of `--ssl_passphrase_fd`; nil where the key needs none or a file has it.
    /// - Throws: `TLSError` naming the key and the descriptor.
    static func read(_ options: Options) throws(TLSError) -> Passphrase? {
        guard isNeeded(options) else { return nil }
        return try Passphrase(.descriptor(Int32(clamping: options.sslPassphraseFd)), forKey: options.sslKeyFile)
    }

    /// Whether a key is encrypted and no file has its passphrase.
    static func isNeeded(_ options: Options) -> Bool {
        !options.everySSLMode.isDisjoint(with: [.sslListen, .tlsListen]) && options.sslPassphraseFile.isEmpty
            && isEncrypted(options.sslKeyFile)
    }

    /// A pipe that holds the line; the caller closes it after the start.
    static func descriptor(_ passphrase: Passphrase) -> Int32? {
        var ends: [Int32] = [-1, -1]
        guard linux_pipe(&ends) == 0 else { return nil }
        passphrase.withBytes { _ = write(ends[1], $0.baseAddress, $0.count) }
        close(ends[1])
        return ends[0]
    }

    /// PEM says so in its text; a key that cannot be read is for the worker to complain about.
    private static func isEncrypted(_ path: String) -> Bool {
        let file = linux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard file >= 0 else { return false }
        defer { close(file) }
        let text = [UInt8](unsafeUninitializedCapacity: 65_536) { room, count in
            count = max(0, Glibc.read(file, room.baseAddress, room.count))
        }
        return text.text.contains("ENCRYPTED")
    }
}
