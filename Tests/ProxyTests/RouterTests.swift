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
}
