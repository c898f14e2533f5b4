import Foundation
import Glibc

/// Plays a service manager: the socket that sd_notify(3) sends to.
final class NotifySocket {
    private let descriptor: Int32
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw Failure.system("socket") }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = directory.file("notify")
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else { throw Failure.system("bind \(path)") }
        chmod(path, 0o666)
    }

    deinit {
        close(descriptor)
    }

    /// For the program that is to be managed.
    var environment: [String: String] { ["NOTIFY_SOCKET": directory.file("notify")] }

    /// What came within some time, each datagram as its lines.
    func all(within milliseconds: Int32) -> [[String]] {
        let deadline = Deadline(seconds: Double(milliseconds) / 1000)
        var messages: [[String]] = []
        while !deadline.hasPassed {
            if let message = next(deadline) { messages.append(message) }
        }
        return messages
    }

    /// Waits for a message; others are forgotten.
    @discardableResult
    func message(within seconds: Double = 20, where matches: ([String]) -> Bool) throws -> [String] {
        let deadline = Deadline(seconds: seconds)
        var seen: [[String]] = []
        while !deadline.hasPassed {
            guard let message = next(deadline) else { continue }
            if matches(message) { return message }
            seen.append(message)
        }
        throw Failure("no such message came; these did: \(seen)")
    }

    /// Waits for a message with this line.
    @discardableResult
    func message(_ line: String, within seconds: Double = 20) throws -> [String] {
        try message(within: seconds) { $0.contains(line) }
    }

    private func next(_ deadline: Deadline) -> [String]? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, deadline.milliseconds) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { return nil }
        return String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
