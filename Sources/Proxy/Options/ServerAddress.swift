/// A host and perhaps a port, as `--bind_address`, `--outgoing_server` and popmap entries write them: `host`,
/// `host:port`, `[v6]:port` or a bare IPv6 address.
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
    /// A name, or an address without brackets.
    public var host: String
    /// A number or a name of services(5); nil where the text has none.
    public var port: String?

    /// Makes an address from its parts.
    public init(host: String, port: String? = nil) {
        self.host = host
        self.port = port
    }

    /// Reads one address; nil when the host or a port after a colon is missing, or a bracket has no partner.
    public init?(_ text: some StringProtocol) {
        self.init(bytes: Array(text.utf8))
    }

    /// The same from bytes; what is not UTF-8 is replaced.
    init?(bytes: [UInt8]) {
        let colon = UInt8(ascii: ":")
        var end = bytes.count
        var start = 0
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            start = 1
            end = bracket
        } else if let first = bytes.firstIndex(of: colon), bytes.lastIndex(of: colon) == first {
            end = first
        }
        guard end > start else { return nil }
        host = bytes[start..<end].text
        let rest = bytes[(start == 0 ? end : end + 1)...]
        guard let mark = rest.first else { return }
        guard mark == colon, rest.count > 1, !rest.dropFirst().contains(colon) else { return nil }
        port = rest.dropFirst().text
    }

    /// The address as it can be read again; brackets only where a port follows an IPv6 address.
    public var description: String {
        guard let port else { return host }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
