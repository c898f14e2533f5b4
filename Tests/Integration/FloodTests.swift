import Foundation
import Glibc
import Testing

/// Thousands of clients that come to nothing: memory has a bound, and whoever has a password gets in.
@Suite(.staged) struct FloodTests {
    /// KiB of the worker that one such client may take.
    private static func budget(_ kind: Flood.Kind) -> Int {
        switch kind {
        case .silent, .slow: 10
        // The line, in a buffer of twice its size at most.
        case .endlessLine: 20
        // The same, and two literals.
        case .endlessLiteral: 36
        // OpenSSL's state and its buffers for a record and for a message.
        case .stalledHandshake: 76
        // Commands that wait, and one answer of 8 KB in the making.
        case .deaf: 48
        }
    }

    @Test(arguments: Flood.Kind.allCases) func honestClientsLogIn(_ kind: Flood.Kind) throws {
        let authority = try Authority()
        let server = try FakeServer.mail(.imap4, users: nil)
        let capability = kind == .deaf ? "IMAP4rev1 " + String(repeating: "X", count: 8_000) : "IMAP4rev1"
        let proxy = try Perdition(
            .imap4,
            [
                "--outgoing_server", "127.0.0.1:\(server.port)", "--ssl_mode", "tls_listen", "--imap_capability",
                capability,
            ] + authority.issue("proxy.test").options)
        let guest = try proxy.client()
        #expect(try guest.logIn(.imap4) == Flavour.imap4.success)
        let worker = try proxy.worker
        let before = worker.residentKiB
        let count = try Flood.size(4_000) / kind.share
        let flood = try Flood(kind, count: count, to: proxy.port)
        let load = try Load(proxy.port, logins: 200, atOnce: 4)
        try eventually("200 logins", within: 300) {
            if kind == .slow { flood.drip() }
            Nap.milliseconds(kind == .slow ? 1000 : 10)
            return load.isDone
        }
        #expect(load.failures == [], "of 200 logins beside \(count) clients that are \(kind.rawValue)")
        #expect(flood.standing == count && worker.descriptors > count, "it was there all the time")
        let taken = worker.residentKiB - before
        #expect(taken <= count * Self.budget(kind), "\(taken) KiB for \(count) clients")
        print("\(kind.rawValue): \(taken) KiB for \(count) clients, \(Double(taken) / Double(count)) each")
        #expect(try guest.ask("still there") == "you said still there")
        #expect(try proxy.worker.pid == worker.pid)
        withExtendedLifetime(flood) {}
    }

    /// Logged in, and then never a byte taken of what the real server sends.
    @Test func sessionsThatNeverReadHoldLittle() throws {
        let piece = [UInt8](repeating: 120, count: 1 << 20)
        let server = try FakeServer.mail(.imap4, users: nil) { session in
            for _ in 0..<64 { try session.send(piece, within: 600) }
        }
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)", "--threads", "1"])
        let worker = try proxy.worker
        var deaf: [MailClient] = []
        _ = try proxy.client().logIn(.imap4)
        let before = worker.residentKiB
        let count = 40
        for _ in 0..<count {
            let client = try proxy.client()
            var size: Int32 = 4096
            setsockopt(client.descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
            #expect(try client.logIn(.imap4) == Flavour.imap4.success)
            deaf.append(client)
        }
        var sizes: [Int] = []
        try eventually("no more is taken", within: 120) {
            Nap.milliseconds(200)
            sizes.append(worker.residentKiB)
            return sizes.count > 10 && Set(sizes.suffix(10)).count == 1
        }
        let taken = worker.residentKiB - before
        #expect(taken <= count * 160, "\(taken) KiB for \(count) sessions")
        print("\(taken) KiB for \(count) sessions that do not read")
        withExtendedLifetime(deaf) {}
    }

    /// What the system itself keeps for a client that does not read: it would take megabytes for each.
    @Test func theSystemKeepsLittleForWhoDoesNotRead() throws {
        let proxy = try Perdition(.imap4, ["--imap_capability", "IMAP4rev1 " + String(repeating: "X", count: 8_000)])
        let count = 20
        let flood = try Flood(.deaf, count: count, to: proxy.port)
        let place = ":" + String(format: "%04X", Int(proxy.port))
        /// Bytes that wait on the proxy's side of each connection (proc(5), /proc/net/tcp).
        func waiting() -> [Int] {
            let table = String(decoding: FreePort.rows(of: "/proc/net/tcp"), as: UTF8.self)
            return table.split(separator: "\n").compactMap { row in
                let fields = row.split(separator: " ")
                guard fields.count > 4, fields[1].hasSuffix(place), fields[3] == "01" else { return nil }
                return Int(fields[4].prefix(8), radix: 16)
            }
        }
        var last: [Int] = []
        try eventually("nothing more is written", within: 60) {
            Nap.milliseconds(500)
            let now = waiting()
            defer { last = now }
            return now == last && now.count == count && now.allSatisfy { $0 > 0 }
        }
        // The limit, and an answer or two that was begun below it.
        #expect(last.allSatisfy { $0 <= 160 * 1024 }, "\(last)")
        withExtendedLifetime(flood) {}
    }

    /// One client that asks as fast as it can, on the only loop there is.
    @Test func aClientThatNeverStopsDoesNotKeepTheLoop() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(.imap4, ["--outgoing_server", "127.0.0.1:\(server.port)", "--threads", "1"])
        let talker = Talker(proxy.port)
        defer { talker.stop() }
        try eventually("it talks") { talker.rounds > 10 }
        let before = talker.rounds
        let load = try Load(proxy.port, logins: 100, atOnce: 2)
        try eventually("100 logins", within: 120) { load.isDone }
        #expect(load.failures == [])
        #expect(talker.rounds > before, "it went on talking")
    }
}
