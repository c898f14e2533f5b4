import Glibc

/// The name by which a real server is known: what its certificate must hold, and its sessions are found by.
struct PeerName: Hashable, CustomStringConvertible {
    /// The bytes of an IPv4 or IPv6 address.
    let address: [UInt8]?
    /// The name, in small letters and without the dot that makes it absolute.
    let name: String
    let port: UInt16

    init(_ text: String, port: UInt16 = 0) {
        address = Self.address(text)
        name = (text.last == "." ? String(text.dropLast()) : text).lowercased()
        self.port = port
    }

    var description: String { printable(name) }

    /// What to put into the hello for servers of several names: names only (RFC 6066, section 3).
    var indication: String? {
        guard address == nil, (1...255).contains(name.utf8.count) else { return nil }
        let isName = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
            default: false
            }
        }
        return isName ? name : nil
    }

    private static func address(_ text: String) -> [UInt8]? {
        for (family, size) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: size)
            // A NUL inside would hide the rest of the name from the function.
            if !text.utf8.contains(0), inet_pton(family, text, &bytes) == 1 { return bytes }
        }
        return nil
    }
}
