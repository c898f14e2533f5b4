import CLinux
import Glibc
import Testing

@testable import Loop

/// Connections to addresses that answer, refuse, or say nothing.
@Suite(.timeLimit(.minutes(2))) struct ConnectTests {
    @Test(arguments: ["127.0.0.1", "::1"]) func connects(host: String) async throws {
        let listener = try Listener(host)
        try await onLoop { loop in
            let channel = try await Channel.connect(to: listener.address, on: loop.thread, within: 10_000)
            let peer = try listener.accept()
            #expect(SocketAddress.of(channel.descriptor, peer: true) == listener.address)
            #expect(SocketAddress.of(channel.descriptor, peer: false) == SocketAddress.of(peer, peer: true))
            #expect(channel.send("hello") == .moved(5))
            #expect(channel.settle())
            var room = [UInt8](repeating: 0, count: 8)
            #expect(read(peer, &room, 8) == 5)
            var on: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            #expect(getsockopt(channel.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, &length) == 0)
            #expect(on != 0)
            channel.close()
            close(peer)
        }
    }

    /// What is held back leaves with what follows, be it more bytes or the end.
    @Test func gathersWhatLeavesTogether() async throws {
        let listener = try Listener("127.0.0.1")
        try await onLoop { loop in
            for ends in [{ (channel: Channel) in channel.close() }, { $0.endOutput() }, { _ = $0.send("!") }] {
                let channel = try await Channel.connect(to: listener.address, on: loop.thread, within: 10_000)
                let peer = try listener.accept()
                for word in ["good", "bye"] {
                    #expect(Array(word.utf8).withUnsafeBytes { channel.send($0, more: true) } == .moved(word.count))
                    #expect(channel.settle())
                }
                var waiting: Int32 = 0
                #expect(ioctl(peer, UInt(FIONREAD), &waiting) == 0 && waiting == 0)
                ends(channel)
                await loop.turn()
                var room = [UInt8](repeating: 0, count: 8)
                #expect(read(peer, &room, 8) >= 7)
                #expect(try segmentsWithData(peer) == 1)
                channel.close()
                close(peer)
            }
        }
    }

    /// How many segments with bytes in them a connection has had from its peer.
    private func segmentsWithData(_ descriptor: Int32) throws -> UInt32 {
        // Linux's struct tcp_info up to tcpi_data_segs_in; glibc's ends before.
        var info = [UInt32](repeating: 0, count: 39)
        var length = socklen_t(4 * info.count)
        let code = getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &length)
        guard code == 0, length == socklen_t(4 * info.count) else { throw Errno.last }
        return info[38]
    }

    @Test(arguments: ["127.0.0.1", "::1"]) func hearsARefusal(host: String) async throws {
        let address: SocketAddress
        do {
            // Its port is free again once it is gone.
            let listener = try Listener(host)
            address = listener.address
        }
        try await onLoop { loop in
            await #expect(throws: ConnectError.refused(Errno(ECONNREFUSED))) {
                _ = try await Channel.connect(to: address, on: loop.thread, within: 10_000)
            }
        }
    }

    /// A backlog that is full drops what asks for a connection, as a machine that is down would.
    @Test func givesUpOnSilence() async throws {
        let listener = try Listener("127.0.0.1", backlog: 0)
        try await onLoop { loop in
            var waiting: [Channel] = []
            defer { for channel in waiting { channel.close() } }
            var failure: ConnectError?
            for _ in 0..<8 where failure == nil {
                do throws(ConnectError) {
                    waiting.append(try await Channel.connect(to: listener.address, on: loop.thread, within: 100))
                } catch {
                    failure = error
                }
            }
            #expect(failure == .timedOut)
        }
    }

    @Test func knowsUnixSockets() async throws {
        let path = "/tmp/perdition-connect.\(getpid()).\(UInt32.random(in: 0...UInt32.max))"
        let address = try #require(SocketAddress(path: path))
        try await onLoop { loop in
            await #expect(throws: ConnectError.refused(Errno(ENOENT))) {
                _ = try await Channel.connect(to: address, on: loop.thread, within: 1000)
            }
        }
        let listener = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        defer {
            close(listener)
            unlink(path)
        }
        #expect(address.withSocketAddress { bind(listener, $0, $1) } == 0)
        #expect(listen(listener, 4) == 0)
        try await onLoop { loop in
            let channel = try await Channel.connect(to: address, on: loop.thread, within: 1000)
            #expect(channel.send("x") == .moved(1))
            channel.close()
        }
    }

    @Test func refusesAnAddressThatIsNone() async throws {
        var raw = sockaddr()
        let none = SocketAddress(&raw, length: 0)
        try await onLoop { loop in
            await #expect(throws: ConnectError.self) {
                _ = try await Channel.connect(to: none, on: loop.thread, within: 1000)
            }
        }
    }
}

/// A listening socket at a free port.
final class Listener: Sendable {
    let descriptor: Int32
    let address: SocketAddress

    init(_ host: String, backlog: Int32 = 64) throws {
        let wanted = try #require(SocketAddress(host: host, port: 0))
        descriptor = linux_socket(Int32(wanted.family), Int32(linux_STREAM), 0)
        let number = descriptor
        guard number >= 0, wanted.withSocketAddress({ bind(number, $0, $1) }) == 0, listen(number, backlog) == 0 else {
            throw Errno.last
        }
        address = SocketAddress.of(descriptor, peer: false)
    }

    deinit {
        close(descriptor)
    }

    /// The connection that waits.
    func accept() throws -> Int32 {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&wait, 1, 10_000)
        let connection = Glibc.accept(descriptor, nil, nil)
        guard connection >= 0 else { throw Errno.last }
        return connection
    }

    /// A connected, blocking client.
    func connect() throws -> Int32 {
        // A socket that was shut down listens at another port afterwards.
        let address = SocketAddress.of(descriptor, peer: false)
        let client = socket(Int32(address.family), Int32(SOCK_STREAM.rawValue), 0)
        guard client >= 0, address.withSocketAddress({ Glibc.connect(client, $0, $1) }) == 0 else { throw Errno.last }
        return client
    }

    /// A non-blocking client, and the other end of its connection.
    func pair() throws -> (Int32, Int32) {
        let client = try connect()
        guard linux_fcntl(client, F_SETFL, O_NONBLOCK) == 0 else { throw Errno.last }
        return (client, try accept())
    }
}
