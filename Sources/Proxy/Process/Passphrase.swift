import CLinux
import Glibc

/// The passphrase of the key, read once by the master: a worker that is started again must find it, too.
enum Passphrase {
    /// Longest passphrase in bytes.
    static let limit = 1024

    /// The first line of `--ssl_passphrase_fd`; nil where the key needs none or a file has it.
    static func read(_ options: Options) -> Secret? {
        guard !options.sslMode.isDisjoint(with: [.sslListen, .tlsListen]), options.sslPassphraseFile.isEmpty,
            isEncrypted(options.sslKeyFile)
        else { return nil }
        let descriptor = Int32(clamping: options.sslPassphraseFd)
        var line: [UInt8] = []
        defer { line.wipe() }
        line.reserveCapacity(limit)
        var byte: UInt8 = 0
        while line.count < limit, Glibc.read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") {
            line.append(byte)
        }
        return Secret(line)
    }

    /// A pipe that holds the line; the caller closes it after the start.
    static func descriptor(_ passphrase: Secret) -> Int32? {
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
