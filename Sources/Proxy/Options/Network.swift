public import Loop

/// A range of addresses in CIDR notation: `192.0.2.0/24`, `2001:db8::/32`, or one address.
public struct Network: Sendable, Hashable, CustomStringConvertible {
    private let isV6: Bool
    private let high: UInt64
    private let low: UInt64
    private let length: Int
    /// As it was written.
    public let description: String

    /// Reads one; nil where it is none, or has bits set beyond its length: a mistake in one of the two.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, !first.contains("%"),
            let address = SocketAddress(host: String(first), port: 0)
        else { return nil }
        isV6 = address.kind == .v6
        let most = isV6 ? 128 : 32
        if parts.count == 2 {
            guard parts[1].utf8.count <= 3, parts[1].utf8.allSatisfy({ (48...57).contains($0) }),
                let length = Int(parts[1]), length <= most
            else { return nil }
            self.length = length
        } else {
            length = most
        }
        (high, low) = address.number
        let mask = Self.mask(length + 128 - most)
        // The upper part of an IPv4 address is empty, whatever its mask.
        guard isV6 ? high & ~mask.high == 0 : true, low & ~mask.low == 0 else { return nil }
        description = String(text)
    }

    /// Whether an address is within; one of another family never is.
    public func contains(_ address: SocketAddress) -> Bool {
        guard address.kind == (isV6 ? .v6 : .v4) else { return false }
        let mask = Self.mask(isV6 ? length : length + 96)
        let number = address.number
        return number.high & mask.high == high & mask.high && number.low & mask.low == low & mask.low
    }

    private static func mask(_ length: Int) -> (high: UInt64, low: UInt64) {
        // A shift by as many bits as there are, or more, gives 0.
        (~(UInt64.max >> UInt64(min(length, 64))), ~(UInt64.max >> UInt64(max(length - 64, 0))))
    }
}
