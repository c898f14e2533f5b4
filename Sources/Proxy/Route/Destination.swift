/// Where a user's mail is: what a popmap entry, `--outgoing_server` or the user said.
struct Destination: Equatable {
    /// Most servers one popmap entry may name, or one login may try: each may take `--connect_timeout`.
    static let serverLimit = 8

    /// Name or address of the real server, without brackets.
    var host: String
    /// Its port, a number or a name; nil for `--outgoing_port`.
    var port: String?
    /// The name the popmap gives the user there, for `--username_from_database`.
    var user: [UInt8]?
    /// Where to go, in order, when no connection comes about.
    var others: [ServerAddress] = []
    /// Whether it rests on what a map said before, as it cannot be asked now.
    var isOld = false

    /// A destination from its parts.
    init(host: String, port: String? = nil, user: [UInt8]? = nil, others: [ServerAddress] = []) {
        self.host = host
        self.port = port
        self.user = user
        self.others = others
    }

    /// Reads a popmap value, `[user<delimiter>]host[:port][,host[:port]...]`; nil where there is no host in it, or in an
    /// element of it, or there are too many.
    /// - Parameter alone: whether a comma is nothing special, as in what users say themselves.
    init?(value: [UInt8], delimiter: [UInt8], alone: Bool = false) {
        let bytes = Self.trimmed(value)
        let halves = Delimiter.split(bytes, at: delimiter)
        let place = halves?.tail ?? bytes
        user = halves?.head
        guard !alone, place.contains(UInt8(ascii: ",")) else {
            guard let address = Self.server(place) else { return nil }
            (host, port) = (address.host, address.port)
            return
        }
        var servers: [ServerAddress] = []
        for element in place.split(separator: UInt8(ascii: ",")) {
            let element = Self.trimmed(Array(element))
            if element.isEmpty { continue }
            guard servers.count < Self.serverLimit, let server = Self.server(element) else { return nil }
            servers.append(server)
        }
        guard let first = servers.first else { return nil }
        (host, port, others) = (first.host, first.port, Array(servers.dropFirst()))
    }

    /// Goes on to the next server.
    /// - Returns: false where there is none.
    mutating func advance() -> Bool {
        guard !others.isEmpty else { return false }
        let next = others.removeFirst()
        (host, port) = (next.host, next.port)
        return true
    }

    private static func server(_ text: [UInt8]) -> ServerAddress? {
        var place = text
        // A port left empty is no port; popmaps are written by programs that join with a colon.
        if place.last == UInt8(ascii: ":"), place.filter({ $0 == UInt8(ascii: ":") }).count == 1 { place.removeLast() }
        guard !place.isEmpty, place.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        return ServerAddress(bytes: place)
    }

    /// Without the blanks around it, and without the NUL some maps end a value with.
    private static func trimmed(_ value: [UInt8]) -> [UInt8] {
        let isBlank: (UInt8) -> Bool = { $0 <= 0x20 }
        let rest = value.drop(while: isBlank)
        return Array(rest[..<(rest.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? rest.startIndex)])
    }
}
