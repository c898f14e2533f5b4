import Glibc
import Loop

/// Where a worker answers HTTP (`--metrics_address`), on its first loop: few at a time, little, not for long, and only
/// what anybody may know: no names of users, no addresses.
final class MetricsDesk {
    /// Connections at a time; more wait in the socket.
    private static let places = 8
    /// Milliseconds for each line, and for the answer to leave.
    private static let patience: UInt64 = 5_000

    private let loop: Loop
    private let services: Services
    private let ledger: Ledger
    private let listeners: [Int32]
    private var acceptors: [Acceptor] = []
    private var guests = 0
    private var isClosed = false

    init(_ loop: Loop, _ services: Services, _ ledger: Ledger, listeners: [Int32]) {
        self.loop = loop
        self.services = services
        self.ledger = ledger
        self.listeners = listeners
        open()
    }

    /// Another worker answers from now on, unless there is none to come.
    func closeDoors() {
        guard ledger[.draining] != 1 else { return }
        isClosed = true
        close()
    }

    private func open() {
        guard acceptors.isEmpty, !isClosed, guests < Self.places else { return }
        acceptors = listeners.compactMap { listener in
            try? Acceptor(listener, on: loop.thread) { [unowned self] descriptor, _ in
                welcome(descriptor)
            } failed: { _ in
            }
        }
    }

    private func close() {
        for acceptor in acceptors { acceptor.stop() }
        acceptors = []
    }

    private func welcome(_ descriptor: Int32) {
        guests += 1
        if guests >= Self.places { close() }
        loop.start { loop in
            guard let desk = (loop.thread.tenant as? Floor)?.metrics else { return }
            await desk.serve(descriptor)
            desk.guests -= 1
            desk.open()
        }
    }

    private func serve(_ descriptor: Int32) async {
        guard let channel = try? Channel(descriptor, on: loop.thread) else { return }
        let stream = Stream(channel, patience: Self.patience)
        defer { stream.close() }
        let isLoopback = Self.isLoopback(SocketAddress.of(descriptor, peer: false))
        do throws(StreamError) {
            let response = try await response(stream, isLoopback)
            try await stream.send(response.bytes)
            await stream.drain()
        } catch {
            // Nobody is left who could be told.
        }
    }

    private func response(_ stream: Stream, _ isLoopback: Bool) async throws(StreamError) -> HTTPResponse {
        var request: HTTPRequest
        let first = try await stream.line()
        do throws(HTTPRequest.Fault) {
            request = try HTTPRequest(line: first)
        } catch {
            return error == .method
                ? HTTPResponse(status: "405 Method Not Allowed", body: "only GET\n")
                : HTTPResponse(status: "400 Bad Request", body: "not a request\n")
        }
        for number in 0... {
            let line = try await stream.line()
            if line.isEmpty { break }
            guard number < HTTPRequest.mostLines else {
                return HTTPResponse(status: "431 Request Header Fields Too Large", body: "too many lines\n")
            }
            request.add(field: line)
        }
        guard !isLoopback || request.isLocal else {
            return HTTPResponse(status: "421 Misdirected Request", body: "ask for 127.0.0.1 or localhost\n")
        }
        switch request.path {
        case "/metrics":
            let metrics = Metrics(services, ledger, isOpen: request.takesOpenMetrics)
            return HTTPResponse(type: metrics.type, body: metrics.text)
        case "/":
            return HTTPResponse(type: "text/html; charset=utf-8", body: StatusPage(services, ledger).text)
        default: return HTTPResponse(status: "404 Not Found", body: "there are / and /metrics\n")
        }
    }

    private static func isLoopback(_ address: SocketAddress) -> Bool {
        address.host == "::1" || address.host.hasPrefix("127.")
    }
}
