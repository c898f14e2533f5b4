import Loop

@testable import Proxy

extension Front {
    /// A front with options of its own.
    convenience init(stream: Stream, options: Options, identity: String, pauseLength: UInt64 = Front.pauseLength) {
        self.init(stream: stream, settings: Settings(options), identity: identity, pauseLength: pauseLength)
    }
}

extension Back {
    /// A back with options of its own.
    convenience init(stream: Stream, options: Options, identity: String, host: String, address: SocketAddress) {
        self.init(stream: stream, settings: Settings(options), identity: identity, host: host, address: address)
    }
}
