import Loop

/// The forms of a user's name: what is looked up, what is checked here, what the real server gets.
struct UserName: Sendable {
    private let stripped: Stages
    private let lowered: Stages
    private let extended: Stages
    private let delimiter: [UInt8]
    /// What `--add_domain` appends; nil where there is nothing.
    private var domain: [UInt8]?

    /// The rules of one connection.
    /// - Parameters:
    ///   - options: `--strip_domain`, `--add_domain`, `--lower_case`, `--domain_delimiter`.
    ///   - domain: the domain for `--add_domain`, already stripped to its depth.
    init(_ options: Options, domain: [UInt8]? = nil) {
        stripped = options.stripDomain
        lowered = options.lowerCase
        extended = options.addDomain
        delimiter = Array(options.domainDelimiter.utf8)
        self.domain = domain
    }

    /// The same rules with a domain to add; nil for none.
    func adding(_ domain: [UInt8]?) -> UserName {
        guard domain != nil else { return self }
        var names = self
        names.domain = domain
        return names
    }

    /// The form of a name for one stage: stripped from the last delimiter on, then given a domain where it has none,
    /// then in lower case (ASCII).
    func form(of name: [UInt8], for stage: Stages) -> [UInt8] {
        var form = name
        if stripped.contains(stage), let cut = Delimiter.last(delimiter, in: form) {
            form.removeSubrange(cut...)
        }
        if extended.contains(stage), let domain, Delimiter.last(delimiter, in: form) == nil {
            form += delimiter + domain
        }
        if lowered.contains(stage) {
            for index in form.indices { form[index] = ASCII.lower(form[index]) }
        }
        return form
    }
}

extension UserName {
    /// What `--add_domain` appends for those who have connected to an address; nil where there is nothing to append.
    static func domain(_ options: Options, of address: SocketAddress, _ resolver: Resolver) async -> [UInt8]? {
        guard !options.addDomain.isEmpty else { return nil }
        if let explicit = options.explicitDomain { return Array(explicit.utf8) }
        guard !options.noLookup, let name = await resolver.knownName(of: address) else { return nil }
        return domain(of: name, depth: options.addDomainDepth)
    }

    /// A host's name without its first `depth` labels; nil where nothing is left.
    static func domain(of host: String, depth: Int) -> [UInt8]? {
        let labels = host.split(separator: ".").dropFirst(depth)
        return labels.isEmpty ? nil : Array(labels.joined(separator: ".").utf8)
    }
}

/// Where a name, a popmap value and a specification by the user are divided.
enum Delimiter {
    /// The index at which the delimiter occurs last; nil where it does not, or is empty.
    static func last(_ delimiter: [UInt8], in text: [UInt8]) -> Int? {
        guard !delimiter.isEmpty, text.count >= delimiter.count else { return nil }
        var index = text.count - delimiter.count
        while index >= 0 {
            if text[index..<(index + delimiter.count)].elementsEqual(delimiter) { return index }
            index -= 1
        }
        return nil
    }

    /// What stands ahead of the last delimiter and behind it; nil where it does not occur.
    static func split(_ text: [UInt8], at delimiter: [UInt8]) -> (head: [UInt8], tail: [UInt8])? {
        guard let cut = last(delimiter, in: text) else { return nil }
        return (Array(text[..<cut]), Array(text[(cut + delimiter.count)...]))
    }
}
