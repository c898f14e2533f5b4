import Logging
import Loop
import Testing

@testable import Proxy

extension Services {
    /// Services without a popmap and a helper.
    convenience init(_ options: Options, log: Logger, nodeName: String = "", pauseLength: UInt64 = 0) throws {
        self.init(
            options: options, log: log, tls: try TLSContexts(options), nodeName: nodeName, maps: [],
            authSocket: nil, pauseLength: pauseLength)
    }
}

extension Session {
    /// A session that knows nothing of real servers and checks nobody.
    convenience init(
        _ channel: Channel, _ services: Services, _ router: Router, source: SocketAddress, origin: Origin? = nil
    ) {
        self.init(
            channel, services: services, settings: services.settings, router: router, authentication: nil,
            tlsSessions: nil,
            memory: CapabilityMemory(channel.thread), source: source, origin: origin)
    }
}

extension SocketAddress {
    /// An address nobody connects to.
    static func sample() throws -> SocketAddress {
        try #require(SocketAddress(host: "127.0.0.1", port: 143))
    }
}
