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
        var rest = Substring(text)
        if rest.first == "[" {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            rest = rest[rest.index(after: end)...]
        } else if let colon = rest.firstIndex(of: ":"), rest[rest.index(after: colon)...].firstIndex(of: ":") == nil {
            host = String(rest[..<colon])
            rest = rest[colon...]
        } else {
            host = String(rest)
            rest = ""
        }
        guard !host.isEmpty else { return nil }
        guard let colon = rest.first else { return }
        port = String(rest.dropFirst())
        guard colon == ":", port?.isEmpty == false, port?.contains(":") == false else { return nil }
    }

    /// The address as it can be read again; brackets only where a port follows an IPv6 address.
    public var description: String {
        guard let port else { return host }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
