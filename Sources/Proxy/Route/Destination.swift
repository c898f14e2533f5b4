/// Where a user's mail is: what a popmap entry, `--outgoing_server` or the user said.
struct Destination: Equatable {
    /// Name or address of the real server, without brackets.
    var host: String
    /// Its port, a number or a name; nil for `--outgoing_port`.
    var port: String?
    /// The name the popmap gives the user there, for `--username_from_database`.
    var user: [UInt8]?

    /// A destination from its parts.
    init(host: String, port: String? = nil, user: [UInt8]? = nil) {
        self.host = host
        self.port = port
        self.user = user
    }

    /// Reads a popmap value, `[user<delimiter>]host[:port]`; nil where there is no host in it.
    init?(value: [UInt8], delimiter: [UInt8]) {
        let bytes = Self.trimmed(value)
        let halves = Delimiter.split(bytes, at: delimiter)
        var place = halves?.tail ?? bytes
        // A port left empty is no port; popmaps are written by programs that join with a colon.
        if place.last == UInt8(ascii: ":"), place.filter({ $0 == UInt8(ascii: ":") }).count == 1 { place.removeLast() }
        guard !place.isEmpty, place.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), let address = ServerAddress(bytes: place)
        else {
            return nil
        }
        host = address.host
        port = address.port
        user = halves?.head
    }

    /// Without the blanks around it, and without the NUL some maps end a value with.
    private static func trimmed(_ value: [UInt8]) -> [UInt8] {
        let isBlank: (UInt8) -> Bool = { $0 <= 0x20 }
        let rest = value.drop(while: isBlank)
        return Array(rest[..<(rest.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? rest.startIndex)])
    }
}
