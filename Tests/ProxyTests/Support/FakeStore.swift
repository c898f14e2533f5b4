import CLinux
import Glibc
import Loop
import Synchronization
import Testing

@testable import Proxy

/// Plays a server on the test's own loop: each connection is a task.
final class FakeStore {
    let address: SocketAddress
    private let listener: Listener
    private let acceptor: Acceptor

    /// Listens at a free port.
    /// - Parameter talk: one conversation; the connection is closed when it returns or throws.
    init(
        on loop: isolated Loop, _ talk: @escaping @Sendable (isolated Loop, Stream) async throws -> Void
    ) throws {
        let listener = try Listener()
        self.listener = listener
        address = listener.address
        acceptor = try FakeStore.serve(listener.descriptor, on: loop, talk)
    }

    deinit {
        acceptor.stop()
    }

    static func serve(
        _ descriptor: Int32, on loop: isolated Loop,
        _ talk: @escaping @Sendable (isolated Loop, Stream) async throws -> Void
    ) throws -> Acceptor {
        let loop = loop
        return try Acceptor(descriptor, on: loop.thread) { connection, _ in
            loop.start { loop in
                guard let stream = try? Stream(connection, on: loop) else { return }
                try? await talk(loop, stream)
                stream.close()
            }
        } failed: {
            Issue.record("\($0)")
        }
    }
}

/// What fake servers heard, for the test's end.
final class Notes: Sendable {
    private let state = Mutex<[String]>([])

    var all: [String] { state.withLock { $0 } }

    func add(_ note: String) {
        state.withLock { $0.append(note) }
    }
}

/// A map provider that answers from a dictionary; keys it does not know are not there.
final class FakeMap {
    let path: String
    private let descriptor: Int32
    private let acceptor: Acceptor

    /// - Parameter answers: whole replies, `OK host` for one.
    convenience init(on loop: isolated Loop, _ answers: [String: String], notes: Notes = Notes()) throws {
        try self.init(on: loop) { key in
            notes.add(key)
            return answers[key]
        }
    }

    /// - Parameter answer: the reply to a key; nil for one that is not there.
    init(on loop: isolated Loop, answer: @escaping @Sendable (String) -> String?) throws {
        path = "/tmp/perdition-map.\(getpid()).\(UInt32.random(in: 0...UInt32.max))"
        let address = try #require(SocketAddress(path: path))
        let number = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        descriptor = number
        try #require(address.withSocketAddress { bind(number, $0, $1) } == 0)
        try #require(listen(number, 16) == 0)
        acceptor = try FakeStore.serve(number, on: loop) { _, stream in
            while true {
                var digits: [UInt8] = []
                while let byte = try await stream.bytes(1).first, byte != UInt8(ascii: ":") { digits.append(byte) }
                let request = try await stream.bytes(try #require(Int(digits.text)))
                _ = try await stream.bytes(1)
                let key = String(request.text.dropFirst("popmap ".count))
                let reply = answer(key) ?? "NOTFOUND "
                try await stream.send("\(reply.utf8.count):\(reply),")
            }
        }
    }

    deinit {
        acceptor.stop()
        close(descriptor)
        unlink(path)
    }
}
