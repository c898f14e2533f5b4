import Loop

/// A connection of `--proxy_networks` that has yet to say whose it is.
final class Arrival: Visitor {
    /// Milliseconds a balancer gets for its header: it sends it at once.
    static let patience: UInt64 = 5000

    private let channel: Channel
    @exclusivity(unchecked) var place: Int32 = 0

    /// Over a connection from which nothing has been read.
    init(_ channel: Channel) {
        self.channel = channel
    }

    /// Ends it now.
    func stop() { channel.close() }

    /// Nobody's yet: there is a balancer to be seen, and no client.
    var entry: SessionEntry? { nil }

    /// Nobody's yet.
    func kick(_ names: [String]) -> Bool { false }

    /// Why there is no header.
    struct Failure: Error {
        let reason: String
    }

    /// Takes the header off the connection, and nothing behind it.
    func header() async throws(Failure) -> ProxyHeader {
        let start = channel.thread.now
        var seen = 0
        while true {
            let room = UnsafeMutableRawBufferPointer(rebasing: channel.thread.scratch.prefix(ProxyHeader.limit))
            switch channel.peek(into: room, beyond: seen) {
            case .moved(let count):
                seen = count
                switch ProxyHeader.read([UInt8](room.prefix(count))) {
                case .incomplete: continue
                case .invalid(let reason): throw Failure(reason: reason)
                case .header(let header, let length):
                    guard
                        case .moved(length) = channel.receive(
                            into: UnsafeMutableRawBufferPointer(rebasing: room.prefix(length)))
                    else { throw Failure(reason: "an end within the PROXY header") }
                    return header
                }
            case .wouldBlock:
                let gone = channel.thread.now &- start
                guard gone < Self.patience, await channel.waitReadable(within: Self.patience - gone) == .ready else {
                    throw Failure(reason: "no PROXY header within \(Self.patience / 1000) s")
                }
            case .closed, .failed: throw Failure(reason: seen == 0 ? "nothing" : "an end within the PROXY header")
            }
        }
    }
}
