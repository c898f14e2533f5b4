public import Glibc

/// An IPv4, IPv6 or Unix socket address.
public struct SocketAddress: Sendable, Equatable, Hashable {
    /// What kind of address it is.
    public enum Kind: Sendable {
        /// IPv4.
        case v4
        /// IPv6.
        case v6
        /// A path in the file system.
        case unix
        /// None of these, or none at all.
        case none
    }

    // 28 bytes hold a sockaddr_in6; Unix addresses are kept by path.
    private var bytes: (UInt64, UInt64, UInt64, UInt32) = (0, 0, 0, 0)
    private var length: UInt8 = 0
    private var path: String?

    /// Two addresses are the same where family, address, port and path are.
    public static func == (left: SocketAddress, right: SocketAddress) -> Bool {
        left.bytes == right.bytes && left.length == right.length && left.path == right.path
    }

    /// See `Hashable`.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytes.0)
        hasher.combine(bytes.1)
        hasher.combine(bytes.2)
        hasher.combine(bytes.3)
        hasher.combine(path)
    }

    private init() {}

    /// The address of a Unix socket; nil where the path is empty or longer than 107 bytes.
    public init?(path: String) {
        guard !path.isEmpty, path.utf8.count < 108, !path.utf8.contains(0) else { return nil }
        self.path = path
    }

    /// A numeric address; nil where `host` is none. An IPv6 address may carry a scope (`fe80::1%eth0`).
    public init?(host: String, port: UInt16) {
        var four = sockaddr_in()
        if let number = Self.dottedQuad(host) {
            four.sin_addr.s_addr = number.bigEndian
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            self.init(copying: &four, MemoryLayout<sockaddr_in>.size)
            return
        }
        // C would read it up to there.
        guard !host.utf8.contains(0) else { return nil }
        if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            self.init(copying: &four, MemoryLayout<sockaddr_in>.size)
            return
        }
        var six = sockaddr_in6()
        let name = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = name.first, inet_pton(AF_INET6, String(address), &six.sin6_addr) == 1 else { return nil }
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = port.bigEndian
        if name.count == 2 {
            six.sin6_scope_id = if_nametoindex(String(name[1]))
            guard six.sin6_scope_id != 0 else { return nil }
        }
        self.init(copying: &six, MemoryLayout<sockaddr_in6>.size)
    }

    /// An IPv4 address as a number; nil where the text is not plainly one, whatever else may be made of it. inet_pton(3)
    /// wants a copy of the text, and this is asked for each login.
    private static func dottedQuad(_ host: String) -> UInt32? {
        var (number, part, digits, dots): (UInt32, UInt32, Int, Int) = (0, 0, 0, 0)
        for byte in host.utf8 {
            if byte == UInt8(ascii: "."), digits > 0, dots < 3 {
                number = number << 8 | part
                (part, digits, dots) = (0, 0, dots + 1)
                continue
            }
            // A leading nought is octal for some, and refused by inet_pton.
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9"), digits == 0 || part > 0 else { return nil }
            part = part * 10 + UInt32(byte - UInt8(ascii: "0"))
            digits += 1
            guard part <= 255 else { return nil }
        }
        return dots == 3 && digits > 0 ? number << 8 | part : nil
    }

    /// Copies what a system call filled in; of kind `none` where it is neither IPv4 nor IPv6.
    public init(_ raw: UnsafePointer<sockaddr>, length: socklen_t) {
        self.init()
        let family = Int32(raw.pointee.sa_family)
        guard family == AF_INET || family == AF_INET6, length >= 16, length <= 28 else { return }
        let source = unsafe UnsafeRawBufferPointer(start: raw, count: Int(length))
        withUnsafeMutableBytes(of: &bytes) { unsafe $0.copyMemory(from: source) }
        self.length = UInt8(truncatingIfNeeded: length)
        unmap()
    }

    /// A socket for both families shows an IPv4 peer as an IPv6 address; nobody else wants to know.
    private mutating func unmap() {
        guard kind == .v6, bytes.1 == 0, bytes.2 & 0xffff_ffff == 0xffff_0000 else { return }
        let address = bytes.2 >> 32
        bytes = (UInt64(AF_INET) | bytes.0 & 0xffff_0000 | address << 32, 0, 0, 0)
        length = 16
    }

    private init<Raw>(copying raw: inout Raw, _ size: Int) {
        self.init()
        withUnsafeBytes(of: &raw) { source in
            withUnsafeMutableBytes(of: &bytes) { target in
                unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source.prefix(size)))
            }
        }
        length = UInt8(truncatingIfNeeded: size)
    }

    /// What kind of address it is.
    public var kind: Kind {
        if path != nil { return .unix }
        switch Int32(family) {
        case AF_INET where length >= 16: return .v4
        case AF_INET6 where length >= 28: return .v6
        default: return .none
        }
    }

    /// The `AF_` number for `socket(2)`.
    public var family: sa_family_t {
        if path != nil { return sa_family_t(AF_UNIX) }
        return length == 0 ? 0 : sa_family_t(truncatingIfNeeded: bytes.0 & 0xffff)
    }

    /// The address as a number, for comparing networks; of IPv4 the lower half's lower half, of others 0.
    public var number: (high: UInt64, low: UInt64) {
        switch kind {
        case .v4: (0, UInt64(UInt32(bigEndian: UInt32(truncatingIfNeeded: bytes.0 >> 32))))
        case .v6: (UInt64(bigEndian: bytes.1), UInt64(bigEndian: bytes.2))
        default: (0, 0)
        }
    }

    /// The port; 0 where there is none.
    public var port: UInt16 {
        get { path == nil ? UInt16(bigEndian: UInt16(truncatingIfNeeded: bytes.0 >> 16)) : 0 }
        set {
            guard path == nil else { return }
            bytes.0 = bytes.0 & ~0xffff_0000 | UInt64(newValue.bigEndian) << 16
        }
    }

    /// The address as digits, without port and brackets. An IPv4 client of an IPv6 socket shows as IPv4.
    public var host: String {
        if let path { return path }
        if kind == .v4 { return Self.dotted(UInt32(truncatingIfNeeded: bytes.0 >> 32)) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN) + 1) { text in
            withUnsafeBytes(of: bytes) { raw in
                guard let base = raw.baseAddress, let room = text.baseAddress else { return "" }
                switch kind {
                case .v6: inet_ntop(AF_INET6, base + 8, room, socklen_t(text.count))
                default: return ""
                }
                return String(cString: room)
            }
        }
    }

    /// By hand: inet_ntop(3) takes its time, and what it returns needs to be measured and checked.
    private static func dotted(_ address: UInt32) -> String {
        String(unsafeUninitializedCapacity: 15) { room in
            var count = 0
            for part in 0..<4 {
                let byte = UInt8(truncatingIfNeeded: address >> (8 * UInt32(part)))
                if part > 0 {
                    room[count] = UInt8(ascii: ".")
                    count += 1
                }
                for place: UInt8 in [100, 10, 1] where byte >= place || place == 1 {
                    room[count] = UInt8(ascii: "0") + byte / place % 10
                    count += 1
                }
            }
            return count
        }
    }

    /// Hands the address to a system call.
    public func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        if let path {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
        return withUnsafePointer(to: bytes) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }

    /// Which address of ours the peer of a connected socket talks to, or who the peer is.
    /// - Parameters:
    ///   - descriptor: a socket.
    ///   - peer: the other end instead of ours.
    public static func of(_ descriptor: Int32, peer: Bool) -> SocketAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                let code = peer ? getpeername(descriptor, raw, &length) : getsockname(descriptor, raw, &length)
                return code == 0 ? SocketAddress(raw, length: length) : SocketAddress()
            }
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `host:port`, an IPv6 address in brackets.
    public var description: String {
        switch kind {
        case .v6: "[\(host)]:\(port)"
        case .v4: "\(host):\(port)"
        default: host
        }
    }
}
