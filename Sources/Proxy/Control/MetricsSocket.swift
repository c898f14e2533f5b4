import Glibc
import Loop

/// Where metrics and the status page are served (`--metrics_address`): sockets of the master, which outlive workers.
enum MetricsSocket {
    /// Opens those the options ask for, or none at all.
    /// - Parameter present: sockets that are taken rather than opened where their address is asked for.
    static func open(_ options: Options, keeping present: [Int32]) throws(Listening.Failure) -> [Int32] {
        var sockets: [Int32] = []
        do throws(Listening.Failure) {
            for place in options.metricsAddress {
                let option = "--metrics_address \(place)"
                guard let port = place.port.flatMap({ UInt16($0) }),
                    let address = SocketAddress(host: place.host == "localhost" ? "127.0.0.1" : place.host, port: port)
                else {
                    throw Listening.Failure(description: "\(option): give an address and a port, as 127.0.0.1:9144")
                }
                let kept = present.first { SocketAddress.of($0, peer: false) == address && !sockets.contains($0) }
                if let kept {
                    sockets.append(kept)
                } else {
                    sockets.append(try Listening.listen(address, option: option))
                }
            }
            return sockets
        } catch {
            for socket in sockets where !present.contains(socket) { close(socket) }
            throw error
        }
    }
}
