internal import CLinux
internal import Glibc

/// Where configuration files come from; tests bring their own.
public struct OptionFiles: Sendable {
    /// What reading a path gives.
    public enum Content: Sendable {
        /// The bytes of the file.
        case bytes([UInt8])
        /// There is no such file.
        case absent
        /// It cannot be read, and why.
        case failed(String)
    }

    let read: @Sendable (String) -> Content

    /// Files that `read` gives.
    public init(read: @escaping @Sendable (String) -> Content) { self.read = read }

    /// The files of this machine.
    public static let system = OptionFiles { path in
        let file = linux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard file >= 0 else {
            let error = linux_errno()
            return error == ENOENT || error == ENOTDIR ? .absent : .failed(String(cString: strerror(error)))
        }
        defer { close(file) }
        let limit = ConfigurationFile.maximumSize
        var bytes: [UInt8] = []
        while bytes.count <= limit {
            var error: Int32 = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 16384) { buffer, count in
                let got = Glibc.read(file, buffer.baseAddress, buffer.count)
                error = got < 0 ? linux_errno() : 0
                count = max(0, got)
            }
            if error == EINTR { continue }
            guard error == 0 else { return .failed(String(cString: strerror(error))) }
            if chunk.isEmpty { return .bytes(bytes) }
            bytes += chunk
        }
        return .failed("it is larger than \(limit) bytes")
    }

    /// The directory with files of every perdition of the machine.
    static let directory = "/etc/perdition"

    /// The files a program name stands for, in the order they are looked for.
    static func candidates(programName: String) -> [String] {
        let protocolFile = "perdition.\(ProtocolName(programName: programName).fileName)"
        var names = [programName, protocolFile, "perdition"]
        if programName == "perdition" { names.removeFirst() }
        return names.map { "\(directory)/\($0).conf" }
    }
}
