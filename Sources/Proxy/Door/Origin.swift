import Loop

/// Who counts as one client: an IPv4 address, or the /64 of an IPv6 address, all of which one subscriber has.
struct Origin: Hashable {
    private let number: UInt64
    private let isV6: Bool

    /// The origin of a connection; nil where it comes from no such address.
    init?(_ address: SocketAddress) {
        switch address.kind {
        case .v4: (number, isV6) = (address.number.low, false)
        case .v6: (number, isV6) = (address.number.high, true)
        default: return nil
        }
    }
}
