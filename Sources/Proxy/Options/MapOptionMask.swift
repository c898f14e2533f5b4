import Loop

/// Option strings of map providers as they may be shown: without their passwords. Where it is not certain which part is
/// the password, nothing is shown.
enum MapOptionMask {
    /// What stands for a secret.
    static let mark = "***"

    /// How the strings of a provider are built.
    private enum Form {
        /// A path, or a name, with nothing secret in it.
        case plain
        /// `[version:]URL` with extensions, of which `x-bindpw` is the password.
        case ldap
        /// Fields between colons, the sixth being the password, or `key=value …`, or a URL.
        case sql
    }

    private static let forms: [String: Form] = [
        "gdbm": .plain, "bdb": .plain, "nis": .plain, "regex": .plain, "ldap": .ldap, "mysql": .sql, "postgres": .sql,
    ]

    /// The string without its password.
    /// - Parameter library: the element of `--map_library` it belongs to.
    static func text(_ options: String, library: String) -> String {
        guard !options.isEmpty, let name = MapProvider.shortName(library), let form = forms[name] else {
            return options.isEmpty ? "" : mark
        }
        // An accent behind a separator makes another character of it, and the provider goes by bytes.
        let isSeparable = options.allSatisfy { letter in
            letter.unicodeScalars.count == 1 || !letter.unicodeScalars.contains(where: \.isASCII)
        }
        guard isSeparable || form == .plain else { return mark }
        let shown: String? =
            switch form {
            case .plain: options
            case .ldap: ldap(options)
            case .sql:
                if options.contains("://") {
                    address(options)
                } else if beginsWithKey(options) {
                    keyed(options)
                } else {
                    fields(options)
                }
            }
        return shown ?? mark
    }

    // MARK: LDAP

    /// Masks the value of `x-bindpw` up to the next extension.
    private static func ldap(_ text: String) -> String? {
        let parts = text.split(separator: "?", omittingEmptySubsequences: false)
        guard text.contains("://"), parts.count <= 5, !parts[0].contains("@") else { return nil }
        guard parts.count == 5 else { return mentionsSecret(text) ? nil : text }
        guard !parts[..<4].contains(where: { mentionsSecret(String($0)) }) else { return nil }
        var shown: [String] = []
        var isSecret = false
        for item in parts[4].split(separator: ",", omittingEmptySubsequences: false) {
            let key = item.prefix { $0 != "=" }.drop { $0 == "!" || $0 == " " }.lowercased()
            let isExtension =
                key.hasPrefix("bindname") || key.hasPrefix("x-") || key.hasPrefix("1.3.6.")
                || key == "starttls"
            if isExtension {
                isSecret = mentionsSecret(key)
                shown.append(isSecret ? "\(item.prefix { $0 != "=" })=\(mark)" : String(item))
            } else if !isSecret {
                // A password with a comma in it would look like this, if the one ahead of it were misspelt.
                guard !item.contains("=") else { return nil }
                shown.append(String(item))
            }
        }
        return (parts[..<4].map(String.init) + [shown.joined(separator: ",")]).joined(separator: "?")
    }

    // MARK: SQL

    /// Masks the sixth of at most nine fields.
    private static func fields(_ text: String) -> String? {
        var isBracketed = false
        let hosts = text.prefix { letter in
            if letter == "[" || letter == "]" { isBracketed = letter == "[" }
            return letter != ":" || isBracketed
        }
        // Brackets that hold no address, or are not closed, would take fields for hosts, the password's among them.
        let areAddresses = hosts.split(separator: ",").allSatisfy { host in
            guard host.contains(where: { "[]".contains($0) }) else { return true }
            return host.first == "[" && host.last == "]"
                && SocketAddress(host: String(host.dropFirst().dropLast()), port: 0)?.kind == .v6
        }
        guard !isBracketed, areAddresses else { return nil }
        var fields = text[hosts.endIndex...].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        fields[0] = String(hosts)
        guard fields.count > 5 else { return text.contains("=") && mentionsSecret(text) ? nil : text }
        // An IPv6 address without brackets would move the password to the right.
        let isDigits = fields[1].utf8.allSatisfy { (48...57).contains($0) }
        let mayBeGroup = fields[0].utf8.count <= 4 && fields[0].allSatisfy(\.isHexDigit)
        let isWhole = fields.count <= 9 || fields.count == 10 && fields[9].isEmpty
        guard isWhole, isDigits, !(fields[1].isEmpty && mayBeGroup) else { return nil }
        if !fields[5].isEmpty { fields[5] = mark }
        guard !fields.contains(where: { $0.contains("=") && mentionsSecret($0) }) else { return nil }
        return fields.joined(separator: ":")
    }

    private static func beginsWithKey(_ text: String) -> Bool {
        guard let sign = text.firstIndex(of: "=") else { return false }
        return text[..<sign].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == " ") }
    }

    /// Masks the values whose keys speak of passwords, in `key=value key='a value' …`; nil where it is not that.
    private static func keyed(_ text: String) -> String? {
        var shown = ""
        var rest = text[...]
        while true {
            shown += rest.prefix { $0.isWhitespace || $0 == ";" }
            rest = rest.drop { $0.isWhitespace || $0 == ";" }
            guard !rest.isEmpty else { return shown }
            guard let sign = rest.firstIndex(of: "=") else { return nil }
            let key = rest[..<sign]
            let name = key.filter { !$0.isWhitespace }.lowercased()
            guard !name.isEmpty, name.utf8.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || $0 == 95 })
            else {
                return nil
            }
            rest = rest[rest.index(after: sign)...]
            // A query is the rest of the string, blanks and all.
            if name == "query" { return mentionsSecret(String(rest)) ? nil : shown + key + "=" + rest }
            shown += key + "=" + rest.prefix { $0.isWhitespace }
            rest = rest.drop { $0.isWhitespace }
            guard let value = takeValue(&rest) else { return nil }
            // Behind a key without a value, the next pair is the value: not what its writer meant.
            guard !(value.contains("=") && mentionsSecret(value)) || mentionsSecret(name) else { return nil }
            shown += mentionsSecret(name) && name != "passfile" ? mark : value
        }
    }

    /// A value in quotes, with backslashes, or up to the next blank.
    private static func takeValue(_ rest: inout Substring) -> String? {
        guard let quote = rest.first, quote == "'" || quote == "\"" else {
            let value = rest.prefix { !$0.isWhitespace && $0 != ";" }
            rest = rest[value.endIndex...]
            // A backslash may keep a blank within it.
            return value.contains("\\") ? nil : String(value)
        }
        var value = String(rest.removeFirst())
        while let next = rest.popFirst() {
            value.append(next)
            if next == quote { return value }
            if next == "\\", let escaped = rest.popFirst() { value.append(escaped) }
        }
        return nil
    }

    /// A URL, and `key=value …` behind a blank.
    private static func address(_ text: String) -> String? {
        let head = text.prefix { !$0.isWhitespace }
        guard let url = url(String(head)), let rest = keyed(String(text[head.endIndex...])) else { return nil }
        return url + rest
    }

    /// Masks the password ahead of the host and those among the parameters.
    private static func url(_ text: String) -> String? {
        guard let start = text.firstRange(of: "://")?.upperBound else { return nil }
        let authority = text[start...].prefix { !"/?#".contains($0) }
        var tail = text[authority.endIndex...]
        // A slash or a question mark in the password would end the authority too early.
        guard !tail.contains("@") else { return nil }
        let path = tail.prefix { $0 != "?" }
        var shown = String(text[..<start])
        if let at = authority.lastIndex(of: "@") {
            let login = authority[..<at]
            let user = login.prefix { $0 != ":" }
            shown += user.endIndex == login.endIndex ? login : user + ":" + mark
            shown += authority[at...]
        } else {
            // What stands behind a colon is a port, or else a password whose end is not seen.
            let ports = authority.split(separator: ",").compactMap { $0.drop { $0 != "]" }.split(separator: ":").last }
            let bare = authority.split(separator: ",").filter { !$0.contains("[") }.flatMap {
                $0.split(separator: ":", omittingEmptySubsequences: false).dropFirst()
            }
            guard (ports.filter { $0 != "]" } + bare).allSatisfy({ $0.allSatisfy(\.isNumber) }) else { return nil }
            shown += authority
        }
        shown += path
        tail = tail[path.endIndex...]
        guard !tail.isEmpty else { return shown }
        let parameters = tail.dropFirst().split(separator: "&", omittingEmptySubsequences: false).map { parameter in
            let key = parameter.prefix { $0 != "=" }
            guard key.endIndex != parameter.endIndex else { return String(parameter) }
            return mentionsSecret(key.lowercased()) || key.contains("%") ? "\(key)=\(mark)" : String(parameter)
        }
        return shown + "?" + parameters.joined(separator: "&")
    }

    private static func mentionsSecret(_ text: String) -> Bool {
        let text = text.lowercased()
        return text.contains("pass") || text.contains("pw") || text.contains("secret") || text.contains("scram")
    }
}
