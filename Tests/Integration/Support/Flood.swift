import Foundation
import Glibc
import Synchronization

/// Many connections that come to nothing, held open by the test.
final class Flood {
    /// What each of them does.
    enum Kind: String, CaseIterable, Sendable {
        /// Says nothing at all.
        case silent
        /// Sends a byte each second.
        case slow
        /// Sends a line that has no end, as far as a line may go.
        case endlessLine
        /// Sends literals as large as they may be, the last without its end.
        case endlessLiteral
        /// Begins a TLS handshake and stops in the middle of a record.
        case stalledHandshake
        /// Asks and asks, and never reads the answers.
        case deaf

        /// How many of them are a flood; each answer of the deaf fills buffers of the system.
        var share: Int { self == .deaf ? 10 : 1 }

        fileprivate var words: [UInt8] {
            switch self {
            case .silent: []
            case .slow: Array("a".utf8)
            case .endlessLine: Array("a LOGIN ".utf8) + [UInt8](repeating: 120, count: 8_000)
            case .endlessLiteral:
                Array("a LOGIN {4096+}\r\n".utf8) + [UInt8](repeating: 120, count: 4_096)
                    + Array(" {4096+}\r\n".utf8) + [UInt8](repeating: 121, count: 4_000)
            // A record of 16 KiB that holds the beginning of a ClientHello.
            case .stalledHandshake:
                Array("a STARTTLS\r\n".utf8)
            case .deaf: Array(String(repeating: "a CAPABILITY\r\n", count: 900).utf8)
            }
        }
    }

    let kind: Kind
    private(set) var connections: [MailClient] = []

    /// Connects so many clients and lets them say what they have to say.
    init(_ kind: Kind, count: Int, to port: UInt16, from source: String? = nil) throws {
        self.kind = kind
        let words = kind.words
        let record: [UInt8] = [22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3] + [UInt8](repeating: 7, count: 8_000)
        for _ in 0..<count {
            let client = try MailClient(port, from: source, greeted: kind != .deaf)
            try client.send(words)
            if kind == .stalledHandshake {
                guard try client.line().hasPrefix("a OK") else { throw Failure("STARTTLS is refused") }
                try client.send(record)
            }
            connections.append(client)
        }
    }

    /// One more byte of each, as long as they are not sent away.
    func drip() {
        for connection in connections { try? connection.send("x") }
    }

    /// How many of them the proxy still has.
    var standing: Int {
        connections.count { client in
            var byte: UInt8 = 0
            return recv(client.descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) != 0
        }
    }

    /// How many clients this process, and a proxy, have descriptors for, up to `most`.
    static func size(_ most: Int) throws -> Int {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { throw Failure.system("getrlimit") }
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(resource, &limit) == 0 else { throw Failure.system("setrlimit") }
        return min(most, Int(clamping: limit.rlim_cur) / 4)
    }
}
