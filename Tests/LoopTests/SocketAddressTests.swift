import CLinux
import Glibc
import Testing

@testable import Loop

/// Addresses as text, as the system has them, and back.
@Suite struct SocketAddressTests {
    @Test(
        arguments: [
            ("127.0.0.1", 143, "127.0.0.1:143"), ("255.255.255.255", 65535, "255.255.255.255:65535"),
            ("0.0.0.0", 0, "0.0.0.0:0"), ("::", 110, "[::]:110"), ("::1", 1, "[::1]:1"),
            ("2001:DB8:0:0::A", 993, "[2001:db8::a]:993"),
        ] as [(String, UInt16, String)])
    func readsAndShows(host: String, port: UInt16, text: String) throws {
        let address = try #require(SocketAddress(host: host, port: port))
        #expect(address.description == text)
        #expect(address.port == port)
        #expect(address.kind == (host.contains(":") ? .v6 : .v4))
        #expect(SocketAddress(host: address.host, port: port) == address)
        let copy = address.withSocketAddress { SocketAddress($0, length: $1) }
        #expect(copy == address)
        #expect(copy.hashValue == address.hashValue)
    }

    @Test(
        arguments: [
            "", " ", "localhost", "127.0.0.1 ", "127.0.0", "127.1", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "::1::", ":",
            "[::1]",
            "::1%", "::1%no-such-interface", "%lo", "12345::1", "127.0.0.1%lo", "127.0.0.1\u{0}x", "::1\u{0}",
        ])
    func refusesWhatIsNoAddress(host: String) {
        #expect(SocketAddress(host: host, port: 1) == nil)
    }

    @Test func keepsTheScope() throws {
        let index = if_nametoindex("lo")
        let address = try #require(SocketAddress(host: "fe80::1%lo", port: 143))
        #expect(address.kind == .v6)
        let scope = address.withSocketAddress { raw, _ in
            raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { $0.pointee.sin6_scope_id }
        }
        #expect(scope == index)
        #expect(address != SocketAddress(host: "fe80::1", port: 143))
        #expect(address.host == "fe80::1")
    }

    @Test func aMappedAddressIsAnIPv4One() throws {
        var raw = sockaddr_in6()
        raw.sin6_family = sa_family_t(AF_INET6)
        raw.sin6_port = UInt16(4321).bigEndian
        #expect(inet_pton(AF_INET6, "::ffff:192.0.2.33", &raw.sin6_addr) == 1)
        let address = withUnsafePointer(to: &raw) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                SocketAddress($0, length: socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        #expect(address == SocketAddress(host: "192.0.2.33", port: 4321))
        #expect(address.kind == .v4)
        #expect(address.description == "192.0.2.33:4321")
    }

    @Test func aSocketForBothFamiliesShowsIPv4Peers() throws {
        let listener = linux_socket(AF_INET6, Int32(linux_STREAM), 0)
        defer { close(listener) }
        let any = try #require(SocketAddress(host: "::", port: 0))
        #expect(any.withSocketAddress { bind(listener, $0, $1) } == 0)
        #expect(listen(listener, 4) == 0)
        let port = SocketAddress.of(listener, peer: false).port
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        let target = try #require(SocketAddress(host: "127.0.0.1", port: port))
        #expect(target.withSocketAddress { connect(client, $0, $1) } == 0)
        let connection = accept(listener, nil, nil)
        defer { close(connection) }
        #expect(SocketAddress.of(connection, peer: true) == SocketAddress.of(client, peer: false))
        #expect(SocketAddress.of(connection, peer: false) == target)
    }

    @Test func differsInEveryPart() throws {
        let address = try #require(SocketAddress(host: "192.0.2.1", port: 143))
        #expect(address != SocketAddress(host: "192.0.2.2", port: 143))
        #expect(address != SocketAddress(host: "192.0.2.1", port: 144))
        #expect(address != SocketAddress(host: "::1", port: 143))
        #expect(SocketAddress(path: "/a") != SocketAddress(path: "/b"))
        #expect(SocketAddress(path: "/a") == SocketAddress(path: "/a"))
    }

    @Test func changesThePort() throws {
        var four = try #require(SocketAddress(host: "192.0.2.1", port: 1))
        four.port = 50_000
        #expect(four == SocketAddress(host: "192.0.2.1", port: 50_000))
        var six = try #require(SocketAddress(host: "2001:db8::1", port: 1))
        six.port = 50_000
        #expect(six == SocketAddress(host: "2001:db8::1", port: 50_000))
        var path = try #require(SocketAddress(path: "/a"))
        path.port = 50_000
        #expect(path == SocketAddress(path: "/a"))
        #expect(path.port == 0)
    }

    @Test func keepsPathsWithinTheirLimit() throws {
        let longest = "/" + String(repeating: "x", count: 106)
        let address = try #require(SocketAddress(path: longest))
        #expect(address.kind == .unix)
        #expect(address.host == longest)
        #expect(address.description == longest)
        #expect(address.family == sa_family_t(AF_UNIX))
        let copied = address.withSocketAddress { raw, _ in
            raw.withMemoryRebound(to: sockaddr_un.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sun_path) { Array($0.prefix { $0 != 0 }) }
            }
        }
        #expect(copied == Array(longest.utf8))
        #expect(SocketAddress(path: longest + "x") == nil)
        #expect(SocketAddress(path: "") == nil)
        #expect(SocketAddress(path: "/a\u{0}b") == nil)
    }

    @Test func whatIsNoAddressIsOfNoKind() {
        var raw = sockaddr()
        for family in [0, AF_UNIX, 99] {
            raw.sa_family = sa_family_t(family)
            let address = SocketAddress(&raw, length: 16)
            #expect(address.kind == .none)
            #expect(address.host == "")
            #expect(address.port == 0)
        }
        raw.sa_family = sa_family_t(AF_INET)
        #expect(SocketAddress(&raw, length: 3).kind == .none)
        #expect(SocketAddress.of(-1, peer: true).kind == .none)
        #expect(Errno(ECONNREFUSED).description == "Connection refused")
    }
}
