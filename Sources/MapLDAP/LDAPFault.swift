import CLDAP

/// Why a server did not answer a lookup.
struct LDAPFault: Error, CustomStringConvertible {
    /// What is to be done about it.
    enum Kind: Sendable {
        /// This connection, or this server, is of no use at present; another may be.
        case unreachable
        /// The server answered, and another would answer the same.
        case refused
        /// The entry asked for by name is not there.
        case noSuchEntry
        /// The options string is wrong.
        case senseless
    }

    let kind: Kind
    /// A sentence for the log, without the URL's password.
    let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// What a result code of the server or of the library means for a lookup.
    /// - Parameters:
    ///   - code: as in `ldap.h`.
    ///   - step: what was being done.
    ///   - detail: more that the server or the library says about it.
    init(_ code: Int32, during step: String, _ detail: String = "") {
        kind =
            switch code {
            case LDAP_FILTER_ERROR: .senseless
            case LDAP_NO_SUCH_OBJECT, LDAP_INVALID_DN_SYNTAX: .noSuchEntry
            case LDAP_BUSY, LDAP_UNAVAILABLE, LDAP_UNWILLING_TO_PERFORM, LDAP_OTHER, ..<0: .unreachable
            default: .refused
            }
        let text = String(cString: ldap_err2string(code))
        description = "\(step): \(text)" + (detail.isEmpty ? "" : " (\(detail))")
    }

    /// The same, with the server it is about.
    func at(_ server: LDAPServer) -> LDAPFault {
        LDAPFault(kind, "\(server): \(description)")
    }
}
