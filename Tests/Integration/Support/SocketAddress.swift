import Glibc

/// A numeric IPv4 or IPv6 address with a port.
struct SocketAddress {
    private var storage = sockaddr_storage()
    private let length: socklen_t

    init(_ host: String, _ port: UInt16) throws {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0, let first = found?.pointee,
            let address = first.ai_addr
        else { throw Failure("no address: \(host)") }
        length = first.ai_addrlen
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(first.ai_addrlen)))
        }
        freeaddrinfo(found)
    }

    /// Either end of a connected socket.
    init(of descriptor: Int32, peer: Bool = false) throws {
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var storage = sockaddr_storage()
        let status = withUnsafeMutableBytes(of: &storage) { bytes in
            guard let base = bytes.baseAddress else { return Int32(-1) }
            let address = base.assumingMemoryBound(to: sockaddr.self)
            return peer ? getpeername(descriptor, address, &length) : getsockname(descriptor, address, &length)
        }
        guard status == 0 else { throw Failure.system("getsockname") }
        self.storage = storage
        self.length = length
    }

    var family: Int32 { Int32(storage.ss_family) }

    /// `127.0.0.1:143`, as log lines have it; IPv6 without brackets.
    var text: String {
        var host = [CChar](repeating: 0, count: 64)
        var port = [CChar](repeating: 0, count: 16)
        _ = with {
            getnameinfo($0, $1, &host, 64, &port, 16, Int32(NI_NUMERICHOST | NI_NUMERICSERV))
        }
        return "\(Self.string(host)):\(Self.string(port))"
    }

    func with<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    private static func string(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
