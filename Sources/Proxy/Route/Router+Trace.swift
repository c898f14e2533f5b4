import Control
import Loop

extension Router {
    /// Where clients come in, and what holds for those who do.
    struct Entrance {
        /// As the administrator calls it.
        let name: String
        /// What a client there connects to: 0.0.0.0 where that may be any address of this machine.
        let address: SocketAddress
        let settings: Settings

        /// That of a listening socket.
        init(_ address: SocketAddress, _ settings: Settings) {
            name = settings.listener?.description ?? address.description
            let isForAll = address.number.high == 0 && address.number.low == 0
            self.address = isForAll ? SocketAddress(host: "0.0.0.0", port: address.port) ?? address : address
            self.settings = settings
        }
    }

    /// Goes the way of a user's login and says what is met on it: names, keys, maps and their answers, the real server.
    ///
    /// It starts from no connection: the client's address in query keys is 0.0.0.0, its port 0. It asks as a login does, and
    /// what a map answers is remembered as after one. Where the way depends on where the client comes in, what differs is said
    /// for each.
    static func trace(
        _ user: [UInt8], _ services: Services, maps: [LookupMap], entrances: [Entrance]
    ) async -> ControlAnswer {
        guard let nowhere = SocketAddress(host: "0.0.0.0", port: 0) else { return ControlAnswer(error: "no address") }
        let entrances = entrances.isEmpty ? [Entrance(nowhere, services.settings)] : entrances
        let table = RouteTable()
        var ways: [SocketAddress: RouteTable.Way] = [:]
        for entrance in entrances {
            // Most configurations look at none, and then the maps are asked once.
            let address = services.options.looksAtDestination ? entrance.address : nowhere
            let way: RouteTable.Way
            if let known = ways[address] {
                way = known
            } else {
                way = await table.way(of: user, services, maps: maps, source: nowhere, destination: address)
                ways[address] = way
            }
            table.add(await way.rows(services, entrance.settings), for: entrance.name)
        }
        return table.answer
    }
}

extension Options {
    /// Whether the address that a client connects to decides about names or keys.
    fileprivate var looksAtDestination: Bool {
        (!addDomain.isEmpty && explicitDomain == nil) || queryKey.contains { QueryKey($0)?.namesDestination == true }
    }
}
