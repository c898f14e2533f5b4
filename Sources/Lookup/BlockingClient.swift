import CLinux
import Glibc

/// Asks a map provider from a program that may wait: a tool, a test.
public struct BlockingClient: ~Copyable {
    private let descriptor: Int32
    private let map: [UInt8]
    private var input = Netstring(limit: Limits.reply)

    /// Connects.
    /// - Parameters:
    ///   - path: the Unix socket of the provider.
    ///   - map: the name of the map, the first word of each request.
    ///   - seconds: how long to wait for each reply.
    /// - Returns: nil, with `errno` set, where nobody serves the socket.
    public init?(path: String, map: String = "popmap", seconds: Int = 5) {
        let descriptor = UnixAddress.connected(to: path, seconds: seconds)
        guard descriptor >= 0 else { return nil }
        self.descriptor = descriptor
        self.map = Array(map.utf8)
    }

    deinit {
        close(descriptor)
    }

    /// Looks one key up.
    public mutating func lookUp(_ key: [UInt8]) -> Answer {
        lookUp([key]).first ?? .temporary("no answer")
    }

    /// Looks several keys up, all sent ahead; answers come in their order, `.temporary` where there was none. The
    /// requests should fit the socket's buffers, some 1,000 of them.
    public mutating func lookUp(_ keys: [[UInt8]]) -> [Answer] {
        var output: [UInt8] = []
        for key in keys {
            guard key.count <= Limits.key else { return keys.map { _ in .permanent("a key is too long") } }
            Wire.append(map: map, key: key, to: &output)
        }
        var sent = 0
        while sent < output.count {
            let count = unsafe output.withUnsafeBytes { bytes in
                unsafe linux_send(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent)
            }
            guard count > 0 else { return keys.map { _ in .temporary("the provider hung up") } }
            sent += count
        }
        var answers: [Answer] = []
        answers.reserveCapacity(keys.count)
        while answers.count < keys.count {
            do {
                while answers.count < keys.count, let payload = try input.next() {
                    answers.append(Wire.answer(payload))
                }
            } catch {
                answers.append(.temporary("\(error)"))
                break
            }
            if answers.count == keys.count { break }
            guard receive() else { break }
        }
        while answers.count < keys.count { answers.append(.temporary("no answer")) }
        return answers
    }

    private mutating func receive() -> Bool {
        unsafe withUnsafeTemporaryAllocation(byteCount: 64 * 1024, alignment: 16) { room in
            let count = unsafe recv(descriptor, room.baseAddress, room.count, 0)
            guard count > 0 else { return false }
            unsafe input.append(UnsafeRawBufferPointer(rebasing: room[..<count]))
            return true
        }
    }
}
