import CLinux
import Glibc
import Lookup
import Loop

@testable import Proxy

/// A client of a session that runs on the same loop: a stream to talk over, and the session's log.
final class Guest {
    let stream: Stream
    let book: LogBook
    let services: Services
    /// `A->B` of the connection.
    let route: String
    private let descriptor: Int32

    /// Connects and starts the session, and the relay once there is one.
    init(
        on loop: isolated Loop, _ options: Options, map: String? = nil, memory: MapMemory? = nil, pause: UInt64 = 0,
        book: LogBook = LogBook(),
        host: String = "127.0.0.1", sharing other: Guest? = nil
    ) throws {
        self.book = book
        let (near, far) = try tcpPair(host)
        descriptor = far
        stream = try Stream(near, on: loop)
        let services =
            try other?.services ?? Services(options, log: book.logger, nodeName: "node.example", pauseLength: pause)
        self.services = services
        let source = SocketAddress.of(far, peer: true)
        let target = SocketAddress.of(far, peer: false)
        route = "\(source.host):\(source.port)->\(target.host):\(target.port)"
        loop.start { loop in
            guard let channel = try? Channel(far, on: loop.thread) else { return }
            let client = map.map { Client(path: $0, deadline: 2000, connections: 1, on: loop.thread) }
            let maps = client.map { [LookupMap(name: nil, client: $0, memory: memory)] } ?? []
            let router = Router(services.options, maps: maps, turn: 0)
            let session = Session(
                channel, services, router, source: source, origin: services.door.origin(of: source))
            let relay = await session.run()
            relay?.onEnd = { _ in client?.close() }
            relay?.start()
            if relay == nil { client?.close() }
        }
    }

    /// Sends a line and reads one.
    func ask(_ line: String) async throws -> String {
        try await stream.send(line + "\r\n")
        return try await stream.text()
    }

    /// Waits for a line of the log.
    func logLine(_ loop: isolated Loop, beginning: String) async -> String? {
        for _ in 0..<1000 {
            if let line = book.lines.first(where: { $0.hasPrefix(beginning) }) { return line }
            await loop.thread.sleep(10)
        }
        return nil
    }
}
