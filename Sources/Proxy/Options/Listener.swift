/// One value of `--listen`: where clients come in, and what holds for those who do.
///
/// `PROTOCOL://ADDRESS[:PORT][?NAME=VALUE[&NAME=VALUE...]]`.
public struct Listener: Sendable, Hashable, CustomStringConvertible {
    /// What is spoken there.
    public let protocolName: ProtocolName
    /// A name, or an address without brackets; nil for every address.
    public let host: String?
    /// A number or a name of services(5); nil for that of the protocol.
    public let port: String?
    /// `ssl=`; nil where it is not said. See ``Options/adapted(to:)``.
    public let sslMode: SSLMode?
    /// `outgoing_port=`; nil where it is not said.
    public let outgoingPort: String?
    /// As it was written.
    public let description: String

    /// What is wrong with a value, and what to write instead.
    struct Fault: Error, Equatable {
        let wrong: String
        let instead: String
    }

    private static let form = "write it as in imap4://192.0.2.1:143?ssl=tls_listen"

    /// Reads one.
    init(_ text: String) throws(Fault) {
        description = text
        guard text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw Fault(wrong: "it holds blanks, control characters or letters beyond ASCII", instead: Self.form)
        }
        guard let mark = text.firstRange(of: "://") else {
            throw Fault(wrong: "it does not begin with PROTOCOL://", instead: Self.form)
        }
        protocolName = try Self.protocolName(text[..<mark.lowerBound])
        let halves = text[mark.upperBound...].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        (host, port) = try Self.place(halves.first ?? "")
        var sslMode: SSLMode?
        var outgoingPort: String?
        var seen: Set<Substring> = []
        for setting in halves.count > 1 ? halves[1].split(separator: "&", omittingEmptySubsequences: false) : [] {
            let words = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = words.first ?? ""
            guard seen.insert(name).inserted else {
                throw Fault(wrong: "\(name)= is there twice", instead: "say it once")
            }
            let value = words.count > 1 ? words[1] : ""
            switch name {
            case "ssl": sslMode = try Self.mode(value)
            case "outgoing_port": outgoingPort = try Self.port(value, of: "outgoing_port=")
            default:
                throw Fault(
                    wrong: "there is no setting \"\(name)\"",
                    instead: "write ssl=MODE or outgoing_port=PORT, with & between")
            }
        }
        self.sslMode = sslMode
        self.outgoingPort = outgoingPort
    }

    private static func protocolName(_ text: Substring) throws(Fault) -> ProtocolName {
        let name =
            ProtocolName(option: String(text)) ?? ProtocolName.allCases.first { $0.serviceName == text.lowercased() }
        guard let name else {
            throw Fault(
                wrong: "there is no protocol \"\(text)\"",
                instead: "write one of \(ProtocolName.allCases.map(\.fileName).joined(separator: ", "))")
        }
        return name
    }

    private static func place(_ text: Substring) throws(Fault) -> (host: String?, port: String?) {
        // A URL may end so.
        let place = text.hasSuffix("/") ? text.dropLast() : text
        let isBracketed = place.hasPrefix("[")
        guard !place.isEmpty else {
            throw Fault(wrong: "the address is missing", instead: "write * for every address of this machine")
        }
        guard isBracketed || place.count(where: { $0 == ":" }) < 2 else {
            throw Fault(
                wrong: "the address holds several colons", instead: "write IPv6 addresses in brackets, as in [::1]:143")
        }
        guard !place.contains("/"), !place.contains("@"), let server = ServerAddress(place) else {
            throw Fault(
                wrong: "\"\(place)\" is no address",
                instead:
                    "write an IPv4 address, an IPv6 address in brackets, the name of a host or *, and :PORT behind it")
        }
        return (
            server.host == "*" ? nil : server.host,
            try server.port.map { text throws(Fault) in try port(text[...], of: "the port") }
        )
    }

    /// A port's number, or what may be a name of services(5).
    private static func port(_ text: Substring, of what: String) throws(Fault) -> String {
        let isNumber = !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) }
        let isName = text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (97...122).contains(byte | 32) || "-_+.".utf8.contains(byte)
        }
        guard !text.isEmpty, isName, !isNumber || UInt16(text).map({ $0 > 0 }) == true else {
            throw Fault(
                wrong: "\(what) \"\(text)\" is none",
                instead: "write a number from 1 to 65535, or a name of services(5)")
        }
        return String(text)
    }

    private static func mode(_ text: Substring) throws(Fault) -> SSLMode {
        var mode: SSLMode = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let part = SSLMode(option: word) else {
                throw Fault(
                    wrong: "ssl= has no mode \"\(word)\"",
                    instead: "write " + SSLMode.names.map(\.1).joined(separator: ", "))
            }
            mode.formUnion(part)
        }
        return mode
    }
}

extension Options {
    /// The options for those who come in by one listener: its protocol, its encryption, its port of real servers.
    ///
    /// Encryption is settled for each side by itself: what the listener's ssl= says, `none` about both; then, towards clients,
    /// TLS from the first byte for IMAP4S and POP3S; then what `--ssl_mode` says; then, towards real servers, TLS from the
    /// first byte for IMAP4S and POP3S, whose port that is.
    func adapted(to listener: Listener) -> Options {
        var options = self
        options.protocolName = listener.protocolName
        options.outgoingPort = listener.outgoingPort ?? outgoingPort
        let own = listener.sslMode ?? []
        let isPrivate = listener.protocolName.isPrivate
        func side(_ side: SSLMode, _ choices: SSLMode?...) -> SSLMode {
            for case let choice? in choices where !choice.isDisjoint(with: side.union(.off)) {
                return choice.intersection(side)
            }
            return []
        }
        options.sslMode = side(.listenSide, own, isPrivate ? .sslListen : nil, sslMode)
            .union(side(.outgoingSide, own, sslMode, isPrivate ? .sslOutgoing : nil))
        return options
    }

    /// The options for each listener, in the order of `--listen`; without any, one set for all clients.
    var perListener: [Options] { listen.isEmpty ? [self] : listen.map { adapted(to: $0) } }

    /// What encryption any of them needs.
    var everySSLMode: SSLMode { perListener.reduce(into: []) { $0.formUnion($1.sslMode) } }

    /// The protocols, for the log.
    var protocolNames: String {
        var names: [String] = []
        for options in perListener where !names.contains(options.protocolName.logName) {
            names.append(options.protocolName.logName)
        }
        return names.joined(separator: ",")
    }
}
