import Loop

/// The header by which a load balancer says whose connection it hands on: the PROXY protocol, version 1 (a line) and 2
/// (binary). Values only: bytes are given as far as they have come, and nothing behind the header is touched.
struct ProxyHeader: Equatable {
    /// The client; nil where the connection is the balancer's own, or the client's is of no kind we have.
    var source: SocketAddress?
    /// The address the client connected to.
    var destination: SocketAddress?

    /// What the bytes so far are.
    enum Reading: Equatable {
        /// The beginning of a header.
        case incomplete
        /// A whole header, and its length in bytes.
        case header(ProxyHeader, length: Int)
        /// No header, for the reason given.
        case invalid(String)
    }

    /// Longest line of version 1 in bytes, its end included.
    static let lineLimit = 107
    /// Longest header of version 2 in bytes that is taken: addresses, and more than balancers say about TLS.
    static let limit = 4096

    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]
    private static let headSize = 16

    /// Reads one from the beginning of what has come.
    static func read(_ bytes: [UInt8]) -> Reading {
        let isLine = bytes.prefix(6).elementsEqual("PROXY ".utf8.prefix(bytes.count))
        if isLine { return readLine(bytes) }
        guard bytes.prefix(12).elementsEqual(signature.prefix(bytes.count)) else { return .invalid("no PROXY header") }
        guard bytes.count >= headSize else { return .incomplete }
        let length = headSize + Int(number(bytes, at: 14))
        guard length <= limit else { return .invalid("a PROXY header of \(length) bytes, more than \(limit)") }
        guard bytes.count >= length else { return .incomplete }
        guard let header = readBinary(Array(bytes[..<length])) else { return .invalid("a broken PROXY header") }
        return .header(header, length: length)
    }

    // MARK: Version 1

    private static func readLine(_ bytes: [UInt8]) -> Reading {
        guard let end = bytes.prefix(lineLimit).firstIndex(of: 10) else {
            return bytes.count < lineLimit ? .incomplete : .invalid("a PROXY line without end")
        }
        guard end > 0, bytes[end - 1] == 13 else { return .invalid("a PROXY line without CR") }
        let words = bytes[..<(end - 1)].split(separator: 32, omittingEmptySubsequences: false)
        guard words.count > 1 else { return .invalid("a broken PROXY line") }
        if words[1].elementsEqual("UNKNOWN".utf8) { return .header(ProxyHeader(), length: end + 1) }
        let kind: SocketAddress.Kind? =
            words[1].elementsEqual("TCP4".utf8) ? .v4 : words[1].elementsEqual("TCP6".utf8) ? .v6 : nil
        guard words.count == 6, let kind, let source = address(words[2], words[4], kind),
            let destination = address(words[3], words[5], kind)
        else { return .invalid("a broken PROXY line") }
        return .header(ProxyHeader(source: source, destination: destination), length: end + 1)
    }

    private static func address(
        _ host: ArraySlice<UInt8>, _ port: ArraySlice<UInt8>, _ kind: SocketAddress.Kind
    ) -> SocketAddress? {
        guard port.count <= 5, let number = ASCII.number(port).flatMap({ UInt16(exactly: $0) }),
            !host.contains(UInt8(ascii: "%")), host.contains(UInt8(ascii: ":")) == (kind == .v6)
        else { return nil }
        return SocketAddress(host: host.text, port: number)
    }

    // MARK: Version 2

    private static func readBinary(_ header: [UInt8]) -> ProxyHeader? {
        guard header[12] >> 4 == 2, header[12] & 15 <= 1 else { return nil }
        let sizes: [UInt8: Int] = [0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216, 0: 0]
        // A balancer's own connection may say anything about addresses.
        guard header[12] & 15 == 1 else { return ProxyHeader() }
        guard let size = sizes[header[13]], header.count >= headSize + size,
            checkFields(header, from: headSize + size)
        else { return nil }
        switch header[13] {
        case 0x11:
            return ProxyHeader(source: v4(header, 16, port: 24), destination: v4(header, 20, port: 26))
        case 0x21:
            return ProxyHeader(source: v6(header, 16, port: 48), destination: v6(header, 32, port: 50))
        default: return ProxyHeader()
        }
    }

    private static func v4(_ header: [UInt8], _ place: Int, port: Int) -> SocketAddress? {
        let host = header[place..<(place + 4)].map { String($0) }.joined(separator: ".")
        return SocketAddress(host: host, port: number(header, at: port))
    }

    private static func v6(_ header: [UInt8], _ place: Int, port: Int) -> SocketAddress? {
        let groups = (0..<8).map { String(number(header, at: place + 2 * $0), radix: 16) }
        let address = SocketAddress(host: groups.joined(separator: ":"), port: number(header, at: port))
        // An IPv4 client of a balancer's IPv6 socket is an IPv4 client.
        return address?.withSocketAddress { SocketAddress($0, length: $1) }
    }

    private static func number(_ bytes: [UInt8], at place: Int) -> UInt16 {
        UInt16(bytes[place]) << 8 | UInt16(bytes[place + 1])
    }

    /// Whether the fields behind the addresses are whole, and the checksum right where there is one.
    private static func checkFields(_ header: [UInt8], from start: Int) -> Bool {
        var place = start
        while place < header.count {
            guard place + 3 <= header.count else { return false }
            let size = Int(number(header, at: place + 1))
            guard place + 3 + size <= header.count else { return false }
            if header[place] == 3 {
                guard size == 4 else { return false }
                var zeroed = header
                var sum: UInt32 = 0
                for index in (place + 3)..<(place + 7) {
                    sum = sum << 8 | UInt32(header[index])
                    zeroed[index] = 0
                }
                guard crc32c(zeroed) == sum else { return false }
            }
            place += 3 + size
        }
        return true
    }

    /// CRC-32C (RFC 3720 appendix B.4): without a table, for a header comes once a connection.
    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82f6_3b78 : sum >> 1 }
        }
        return ~sum
    }

    // MARK: Writing

    /// The header in a version, for a real server.
    func bytes(_ version: Version) -> [UInt8] {
        guard let source, let destination, source.kind != .unix, destination.kind != .unix,
            source.kind != .none, destination.kind != .none
        else { return version == .v1 ? Array("PROXY UNKNOWN\r\n".utf8) : Self.head(0x20, 0, 0) }
        let isV4 = source.kind == .v4 && destination.kind == .v4
        if version == .v1 {
            let (from, to) = isV4 ? (source.host, destination.host) : (Self.mapped(source), Self.mapped(destination))
            return Array(
                "PROXY \(isV4 ? "TCP4" : "TCP6") \(from) \(to) \(source.port) \(destination.port)\r\n".utf8)
        }
        var header = Self.head(0x21, isV4 ? 0x11 : 0x21, isV4 ? 12 : 36)
        for address in [source, destination] {
            let (high, low) = address.number
            if isV4 {
                Self.append(low, 4, to: &header)
            } else {
                Self.append(address.kind == .v4 ? 0 : high, 8, to: &header)
                Self.append(address.kind == .v4 ? 0xffff_0000_0000 | low : low, 8, to: &header)
            }
        }
        Self.append(UInt64(source.port), 2, to: &header)
        Self.append(UInt64(destination.port), 2, to: &header)
        return header
    }

    private static func head(_ command: UInt8, _ family: UInt8, _ size: UInt8) -> [UInt8] {
        signature + [command, family, 0, size]
    }

    private static func append(_ value: UInt64, _ count: Int, to bytes: inout [UInt8]) {
        for place in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * place))) }
    }

    /// An IPv4 address among IPv6 ones.
    private static func mapped(_ address: SocketAddress) -> String {
        address.kind == .v4 ? "::ffff:\(address.host)" : address.host
    }

    /// Which form a header has.
    enum Version: String, CaseIterable, Sendable {
        /// A line of text.
        case v1
        /// Binary.
        case v2
    }
}
