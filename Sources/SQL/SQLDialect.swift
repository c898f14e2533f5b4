import Provider

/// How a kind of database writes names, and what the original takes where an options string is silent.
public enum SQLDialect: Sendable {
    /// MariaDB and MySQL.
    case mysql
    /// PostgreSQL.
    case postgres

    /// The name of the database that the original takes.
    var database: String {
        switch self {
        case .mysql: "dbPerdition"
        case .postgres: "dbperdition"
        }
    }

    private var quote: Character {
        switch self {
        case .mysql: "`"
        case .postgres: "\""
        }
    }

    /// A whole text as one name, whatever it holds.
    func quoted(whole text: String) -> String {
        var name = String(quote)
        for character in text.unicodeScalars {
            name.unicodeScalars.append(character)
            if String(character) == String(quote) { name.append(quote) }
        }
        name.append(quote)
        return name
    }

    /// A name as SQL has it, perhaps with a schema ahead of a dot and already quoted in parts, quoted throughout: it
    /// means what it would mean bare, and can mean nothing else.
    /// - Parameters:
    ///   - text: as the options string has it.
    ///   - what: what it is the name of, for the error, which does not quote it: where a colon went astray it may be
    ///     a piece of the password.
    func quoted(_ text: String, _ what: String) throws(ConfigurationError) -> String {
        var parts: [String] = []
        var rest = Array(text.unicodeScalars)[...]
        let mark = quote.unicodeScalars.first
        repeat {
            var name = String.UnicodeScalarView()
            if rest.first == mark {
                rest.removeFirst()
                var closed = false
                while let scalar = rest.popFirst() {
                    if scalar != mark {
                        name.append(scalar)
                    } else if rest.first == mark {
                        name.append(scalar)
                        rest.removeFirst()
                    } else {
                        closed = true
                        break
                    }
                }
                guard closed else { throw Self.notName(what) }
            } else {
                while let scalar = rest.first, Self.isBare(scalar) {
                    name.append(folded(scalar))
                    rest.removeFirst()
                }
            }
            guard !name.isEmpty, parts.count < 3 else { throw Self.notName(what) }
            parts.append(quoted(whole: String(name)))
            guard let next = rest.popFirst() else { return parts.joined(separator: ".") }
            guard next == "." else { throw Self.notName(what) }
        } while true
    }

    /// PostgreSQL takes a bare name for its small letters.
    private func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        guard case .postgres = self, ("A"..."Z").contains(scalar) else { return scalar }
        return Unicode.Scalar(UInt8(ascii: "a") + UInt8(scalar.value - 0x41))
    }

    private static func isBare(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "$", "-": true
        default: scalar.value >= 0x80
        }
    }

    private static func notName(_ what: String) -> ConfigurationError {
        ConfigurationError("the options string has no proper name of the \(what); an expression goes into query='…'")
    }
}
