import CLinux
import Glibc

/// Whole files as bytes.
public enum FileContent {
    /// Reads a file to its end.
    /// - Parameters:
    ///   - path: the file.
    ///   - limit: the most bytes it may have.
    /// - Throws: `PopmapFileError`, with the path, where it cannot be read or is larger.
    public static func read(_ path: String, limit: Int) throws(PopmapFileError) -> [UInt8] {
        let descriptor = linux_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        return try read(descriptor, name: path, limit: limit)
    }

    /// Reads what is left of an open file, a pipe or a terminal.
    /// - Parameters:
    ///   - descriptor: where to read.
    ///   - name: what it is called in errors.
    ///   - limit: the most bytes there may be.
    /// - Throws: `PopmapFileError` where it cannot be read or holds more.
    public static func read(
        _ descriptor: Int32, name: String, limit: Int = .max
    ) throws(PopmapFileError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            var code: Int32 = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 64 * 1024) { room, count in
                let got = unsafe Glibc.read(descriptor, room.baseAddress, room.count)
                code = got < 0 ? linux_errno() : 0
                count = max(0, got)
            }
            if code == EINTR { continue }
            guard code == 0 else { throw PopmapFileError("\(name): \(String(cString: strerror(code)))") }
            if chunk.isEmpty { return bytes }
            bytes += chunk
            guard bytes.count <= limit else { throw PopmapFileError("\(name): larger than \(limit) bytes") }
        }
    }

    private static func failure(_ path: String) -> PopmapFileError {
        PopmapFileError("\(path): \(String(cString: strerror(linux_errno())))")
    }
}
