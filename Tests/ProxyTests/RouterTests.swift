import Loop
import Testing

@testable import Proxy

/// Names that say, or should say, what their server is (`--client_server_specification`).
@Suite struct RouterTests {
    private func route(_ name: String, outgoing: [String] = []) async throws -> Router.Route {
        var options = Options()
        options.clientServerSpecification = true
        options.outgoingServer = outgoing.compactMap { ServerAddress($0) }
        let given = options
        return try await onLoop { _ in
            let router = Router(given, maps: [], turn: 0)
            let nowhere = SocketAddress.of(-1, peer: true)
            return await router.route(
                Array(name.utf8), names: UserName(given), source: nowhere, destination: nowhere)
        }
    }

    @Test func theServerBehindTheLastDelimiterCounts() async throws {
        #expect(
            try await route("joe@x@real.example.net:1143", outgoing: ["other"])
                == .found(Destination(host: "real.example.net", port: "1143"), name: Array("joe@x".utf8)))
        #expect(
            try await route("joe", outgoing: ["other"])
                == .found(Destination(host: "other"), name: Array("joe".utf8)))
    }

    @Test func aNameThatEndsInTheDelimiterIsCutAllTheSame() async throws {
        #expect(try await route("joe@") == .none(name: Array("joe".utf8)))
        #expect(
            try await route("joe@", outgoing: ["other"]) == .found(Destination(host: "other"), name: Array("joe".utf8)))
    }

    /// Users do not get to name several servers.
    @Test func aUserNamesOneServer() async throws {
        #expect(
            try await route("joe@a,b", outgoing: ["other"])
                == .found(Destination(host: "a,b"), name: Array("joe".utf8)))
    }

    @Test func outgoingServersBeginInTurnAndFollowEachOther() async throws {
        let routes = try await onLoop { _ in
            var options = Options()
            options.outgoingServer = ["a", "b:7", "c"].compactMap { ServerAddress($0) }
            let router = Router(options, maps: [], turn: 1)
            let nowhere = SocketAddress.of(-1, peer: true)
            var routes: [[String]] = []
            for _ in 0..<3 {
                guard
                    case .found(var place, _) = await router.route(
                        [1], names: UserName(options), source: nowhere, destination: nowhere)
                else { continue }
                var servers: [String] = []
                repeat {
                    servers.append("\(place.host):\(place.port ?? "-")")
                } while place.advance()
                routes.append(servers)
            }
            return routes
        }
        #expect(routes == [["b:7", "c:-", "a:-"], ["c:-", "a:-", "b:7"], ["a:-", "b:7", "c:-"]])
    }
}

/// Popmap entries with several servers.
@Suite struct ServerListTests {
    private func servers(_ value: String) -> [String]? {
        guard var place = Destination(value: Array(value.utf8), delimiter: [UInt8(ascii: "@")]) else { return nil }
        var servers: [String] = [place.user.map { "\($0.text) at" } ?? "-"]
        repeat {
            servers.append(place.port.map { "\(place.host) \($0)" } ?? place.host)
        } while place.advance()
        return servers
    }

    @Test func serversStandBetweenCommas() {
        #expect(servers("a") == ["-", "a"])
        #expect(servers("a,b") == ["-", "a", "b"])
        #expect(
            servers(" joe@a:143 , [2001:db8::7]:144,2001:db8::8,\n") == [
                "joe at", "a 143", "2001:db8::7 144", "2001:db8::8",
            ])
        #expect(servers("joe,x@a,b:") == ["joe,x at", "a", "b"], "the user ends at the last delimiter")
    }

    @Test(arguments: ["", ",", "a b", "a,b c", "a,:143", "a,[b", "no such user", "a,b\u{1}c", "1,2,3,4,5,6,7,8,9"])
    func whatNamesNoServerIsNoEntry(_ value: String) {
        #expect(servers(value) == nil)
    }

    @Test func eightServersAreEnough() {
        #expect(servers("1,2,3,4,5,6,7,8")?.count == 9)
        #expect(servers("1,2,3,4,5,6,7,8,,")?.count == 9)
    }
}
