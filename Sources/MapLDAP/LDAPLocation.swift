import Provider

/// The options string taken apart: `[version:]URL`, the URL as in RFC 4516 with `%s` for the key.
struct LDAPLocation: Sendable {
    /// The URL where the options string has none, the original's.
    static let defaultURL = "ldap://localhost/ou=mailbox,dc=nodomain?username,mailhost,port?one?(uid=%s)"

    /// How far below the base entries are looked for; the numbers are those of the protocol (RFC 4511, 4.5.1.2).
    enum Scope: Int32, Sendable {
        /// The base alone.
        case base = 0
        /// The entries right below it.
        case one = 1
        /// It and all below it.
        case subtree = 2
        /// All below it.
        case children = 3

        /// The names RFC 4516 and OpenLDAP have for it, in any case of letters.
        init?(_ name: String) {
            switch name.lowercased() {
            case "", "base": self = .base
            case "one", "onelevel": self = .one
            case "sub", "subtree": self = .subtree
            case "children", "subordinate": self = .children
            default: return nil
            }
        }
    }

    /// Protocol version; 3 unless given.
    private(set) var version: Int32 = 3
    /// Where to ask, in this order.
    private(set) var servers: [LDAPServer] = []
    /// The DN below which the entries are.
    private(set) var base: KeyTemplate
    /// The attributes for user, server and port, in this order: at least two of them, at most three.
    private(set) var attributes: AttributeNames
    /// How far below the base the entries are.
    private(set) var scope: Scope
    /// Which entries are meant.
    private(set) var filter: KeyTemplate
    /// Whom to log in as, with what, and how.
    private(set) var extensions: LDAPExtensions

    /// Reads an options string.
    /// - Throws: `ConfigurationError` where no lookup with it can succeed. It does not quote the string, which may hold
    ///   a password.
    init(_ options: String) throws(ConfigurationError) {
        var url = options[...]
        let given = ["2", "3"].contains(url.prefix(1)) && [":", ""].contains(url.dropFirst().prefix(1))
        if given {
            version = url.hasPrefix("2") ? 2 : 3
            url = url.dropFirst(2)
        }
        if url.isEmpty { url = Self.defaultURL[...] }
        let (scheme, rest) = try Self.scheme(&url)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        guard !rest[..<slash].contains("?") else {
            throw ConfigurationError("a / is missing ahead of the first ? of the URL")
        }
        let parts = rest[slash...].dropFirst().split(
            separator: "?", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count <= 5 else {
            throw ConfigurationError("the URL has more than four ?; one that belongs to a part is written %3f")
        }
        func part(_ index: Int) -> Substring { index < parts.count ? parts[index] : "" }

        servers = try Self.servers(Self.plain(rest[..<slash], "host"), scheme)
        base = try KeyTemplate(part(0), "DN")
        var names: [String] = []
        for name in part(1).split(separator: ",") { names.append(try Self.plain(name, "attributes")) }
        attributes = AttributeNames(names)
        guard names.count >= 2 else {
            throw ConfigurationError(
                "the URL names no attribute for the server: they are the user's, the server's and the port's, in this order"
            )
        }
        guard let scope = Scope(try Self.plain(part(2), "scope")) else {
            throw ConfigurationError("the URL's scope is one of base, one, sub and children")
        }
        self.scope = scope
        filter = try KeyTemplate(part(3).isEmpty ? "(objectClass=*)" : part(3), "filter")
        extensions = try LDAPExtensions(part(4))
        if extensions.startTLS {
            guard scheme == .ldap else { throw ConfigurationError("StartTLS is for ldap:// only") }
            guard version == 3 else { throw ConfigurationError("StartTLS needs version 3 of LDAP") }
        }
    }

    /// Takes the scheme off, and what RFC 1738 allows around a URL.
    private static func scheme(
        _ url: inout Substring
    ) throws(ConfigurationError) -> (LDAPServer.Scheme, Substring) {
        if url.hasPrefix("<"), url.hasSuffix(">") { url = url.dropFirst().dropLast() }
        if url.prefix(4).lowercased() == "url:" { url = url.dropFirst(4) }
        for scheme in [LDAPServer.Scheme.ldap, .ldaps, .ldapi] {
            let start = scheme.rawValue + "://"
            if url.prefix(start.count).lowercased() == start { return (scheme, url.dropFirst(start.count)) }
        }
        throw ConfigurationError(
            "the options string is [version:]URL, where version is 2 or 3 and URL begins with ldap://, ldaps:// or ldapi://"
        )
    }

    /// Decodes a part that the key cannot be in: whoever logs in must not choose server or attributes.
    private static func plain(_ encoded: Substring, _ part: String) throws(ConfigurationError) -> String {
        guard let bytes = try KeyTemplate(encoded, part).text else {
            throw ConfigurationError("%s cannot stand in the URL's \(part), only in its DN, its filter and bindname")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError("the URL's \(part) is not UTF-8")
        }
        return text
    }

    /// Takes a list of hosts apart. As ever, a port stands at the end of the list and is that of all; one behind
    /// another host is that host's own.
    private static func servers(
        _ list: String, _ scheme: LDAPServer.Scheme
    ) throws(ConfigurationError) -> [LDAPServer] {
        let words = list.split(separator: " ")
        if scheme == .ldapi {
            let paths = words.isEmpty ? [LDAPServer.defaultSocket] : words.map(String.init)
            return paths.map { LDAPServer(scheme: scheme, host: $0, port: 0) }
        }
        var hosts: [(name: Substring, port: UInt16?)] = []
        for word in words {
            let bracket = word.hasPrefix("[") ? word.lastIndex(of: "]") : nil
            let colon = word[(bracket ?? word.startIndex)...].firstIndex(of: ":")
            var name = word[..<(colon ?? word.endIndex)]
            if bracket != nil { name = name.dropFirst().dropLast() }
            var port: UInt16?
            if let colon {
                port = UInt16(word[colon...].dropFirst())
                guard port != nil, port != 0 else {
                    throw ConfigurationError("a port of the URL is not a number from 1 to 65535")
                }
            }
            // Blanks may stand between the last host and its port.
            if name.isEmpty, let last = hosts.indices.last {
                hosts[last].port = port
            } else {
                hosts.append((name.isEmpty ? "localhost" : name, port))
            }
        }
        if hosts.isEmpty { hosts = [("localhost", nil)] }
        let common = hosts.last?.port ?? scheme.port
        return hosts.map { LDAPServer(scheme: scheme, host: String($0.name), port: $0.port ?? common) }
    }
}
