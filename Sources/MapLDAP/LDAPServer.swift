/// One server of the URL.
struct LDAPServer: Equatable, Sendable, CustomStringConvertible {
    /// How to reach it.
    enum Scheme: String, Sendable {
        /// TCP, in the clear unless StartTLS is asked for.
        case ldap
        /// TLS from the first byte.
        case ldaps
        /// A Unix socket.
        case ldapi

        /// The port where the URL has none.
        var port: UInt16 { self == .ldaps ? 636 : 389 }
    }

    /// Where OpenLDAP's server has its socket in Debian.
    static let defaultSocket = "/run/slapd/ldapi"

    /// How to reach it.
    var scheme: Scheme
    /// A name, an address without brackets, or the path of a Unix socket.
    var host: String
    /// TCP port; of no meaning for a Unix socket.
    var port: UInt16

    /// The URL that the client library is given: it takes the name to check the certificate against from there.
    var url: String {
        switch scheme {
        case .ldapi: "ldapi:///"
        case .ldap, .ldaps: "\(scheme.rawValue)://\(host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host):\(port)"
        }
    }

    /// The server for the log.
    var description: String {
        scheme == .ldapi ? "ldapi://\(host)" : url
    }
}
