import Loop

/// One format of `--query_key`, read once and filled in for each lookup.
struct QueryKey: Equatable, Sendable {
    enum Part: Equatable, Sendable {
        case literal([UInt8])
        case longName, shortName, delimiter, domain
        case source, destination, sourcePort, destinationPort
    }

    private let parts: [Part]

    /// Reads a format; nil where a backslash is followed by nothing, or by a character the manual does not list.
    init?(_ format: String) {
        var parts: [Part] = []
        var literal: [UInt8] = []
        var bytes = format.utf8.makeIterator()
        while let byte = bytes.next() {
            guard byte == UInt8(ascii: "\\") else {
                literal.append(byte)
                continue
            }
            guard let code = bytes.next() else { return nil }
            if code == UInt8(ascii: "\\") {
                literal.append(code)
                continue
            }
            guard let part = Self.part(code) else { return nil }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = []
            parts.append(part)
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        self.parts = parts
    }

    /// Whether a key depends on the address that the client has connected to.
    var namesDestination: Bool { parts.contains(.destination) || parts.contains(.destinationPort) }

    private static func part(_ code: UInt8) -> Part? {
        switch code {
        case UInt8(ascii: "U"): .longName
        case UInt8(ascii: "u"): .shortName
        case UInt8(ascii: "D"): .delimiter
        case UInt8(ascii: "d"): .domain
        case UInt8(ascii: "i"): .source
        case UInt8(ascii: "I"): .destination
        case UInt8(ascii: "p"): .sourcePort
        case UInt8(ascii: "P"): .destinationPort
        default: nil
        }
    }

    /// The key for one user on one connection.
    func key(for name: [UInt8], delimiter: [UInt8], source: SocketAddress, destination: SocketAddress) -> [UInt8] {
        let halves = Delimiter.split(name, at: delimiter)
        var key: [UInt8] = []
        for part in parts {
            switch part {
            case .literal(let bytes): key += bytes
            case .longName: key += name
            case .shortName: key += halves?.head ?? name
            case .delimiter: key += delimiter
            case .domain: key += halves?.tail ?? []
            case .source: key += Array(source.host.utf8)
            case .destination: key += Array(destination.host.utf8)
            case .sourcePort: key += Array(String(source.port).utf8)
            case .destinationPort: key += Array(String(destination.port).utf8)
            }
        }
        return key
    }
}
