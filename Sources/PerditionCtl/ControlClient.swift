import CLinux
import Control
import Glibc

/// The way to a running perdition.
enum ControlClient {
    /// Where sockets are that no option of perdition names.
    static let directory = "/run/perdition"
    /// Seconds without a byte after which nothing is expected any more: a reload takes at most so long.
    private static let patience = 100
    /// Bytes of an answer that are read.
    private static let longestAnswer = 256 << 20

    /// Why perdition could not be asked; a sentence.
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    /// The socket to ask at.
    static func path(socket: String?, instance: String?) throws(Fault) -> String {
        if let socket { return socket }
        if let instance {
            guard !instance.contains("/") else {
                throw Fault(description: "--instance \(instance): a name as perdition.imap4, without a slash")
            }
            return "\(directory)/\(instance).control"
        }
        let names = sockets()
        guard let name = names.first else {
            throw Fault(
                description: "no control socket in \(directory): perdition does not run, or see its --control_socket")
        }
        guard names.count == 1 else {
            let list = names.map { $0.dropLast(".control".count) }.joined(separator: ", ")
            throw Fault(description: "several perditions run here, choose one with --instance: \(list)")
        }
        return "\(directory)/\(name)"
    }

    private static func sockets() -> [String] {
        guard let folder = opendir(directory) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            // What a perdition that was killed has left does not count.
            guard name.hasSuffix(".control"), let end = try? connect("\(directory)/\(name)") else { continue }
            close(end)
            names.append(name)
        }
        return names.sorted()
    }

    private static func connect(_ path: String) throws(Fault) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard bytes.count < room.count, !bytes.contains(0) else { return false }
            room.copyBytes(from: bytes)
            return true
        }
        guard fits else { throw Fault(description: "\(path): too long for a socket") }
        let end = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard end >= 0 else { throw Fault(description: explain(path)) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(end, $0, size) }
        }
        guard result == 0 else {
            let fault = Fault(description: explain(path))
            close(end)
            throw fault
        }
        var time = timeval(tv_sec: patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(end, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
        return end
    }

    private static func explain(_ path: String) -> String {
        let code = linux_errno()
        let reason = String(cString: strerror(code))
        switch code {
        case ECONNREFUSED, ENOENT: return "\(path): \(reason); no perdition runs there"
        case EACCES: return "\(path): \(reason); it is for root"
        default: return "\(path): \(reason)"
        }
    }

    /// Sends a request and waits for the whole answer.
    static func ask(_ command: ControlCommand, at path: String) throws(Fault) -> ControlAnswer {
        let end = try connect(path)
        defer { close(end) }
        guard write(Array("\(command.line)\n".utf8), to: end) else { throw Fault(description: explain(path)) }
        var text: [UInt8] = []
        while true {
            var isBroken = false
            let piece = [UInt8](unsafeUninitializedCapacity: 65_536) { room, count in
                let size = read(end, room.baseAddress, room.count)
                isBroken = size < 0 && linux_errno() != EINTR
                count = max(0, size)
            }
            guard !isBroken else {
                throw Fault(description: "\(path): no answer: \(String(cString: strerror(linux_errno())))")
            }
            guard !piece.isEmpty else { break }
            text += piece
            guard text.count <= longestAnswer else { throw Fault(description: "\(path): the answer has no end") }
        }
        do throws(ControlAnswer.Fault) {
            return try ControlAnswer(text: text)
        } catch {
            throw Fault(description: "\(path): \(error)")
        }
    }

    /// Writes all of it; false where that cannot be.
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent)
            }
            if count < 0, linux_errno() == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
