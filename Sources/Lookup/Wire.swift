/// The lookup protocol as values, without I/O: sendmail's and Postfix's socketmap.
///
/// A request is the netstring `<map> <key>`, a reply the netstring `<status> <text>`. Requests may be sent ahead;
/// replies come in their order.
public enum Wire {
    /// A request taken apart.
    public struct Request: Equatable, Sendable {
        /// The name of the map, up to the first blank.
        public var map: ArraySlice<UInt8>
        /// All that follows the blank: any bytes, blanks and line ends included.
        public var key: ArraySlice<UInt8>
    }

    /// Stands ahead of a map's name where all of its entries are asked for: see ``TableKeeper``.
    public static let tablePrefix = "table:"

    private static let blank = UInt8(ascii: " ")
    private static let comma = UInt8(ascii: ",")

    /// Appends the request for a key, which must not be longer than `Limits.key`.
    public static func append(map: [UInt8], key: [UInt8], to output: inout [UInt8]) {
        Netstring.open(map.count + 1 + key.count, in: &output)
        output.append(contentsOf: map)
        output.append(blank)
        output.append(contentsOf: key)
        output.append(comma)
    }

    /// Takes the payload of a request apart; nil where it is not a name, a blank and a key of at most `Limits.key`.
    public static func request(_ payload: ArraySlice<UInt8>) -> Request? {
        guard let split = payload.firstIndex(of: blank) else { return nil }
        let key = payload[(split + 1)...]
        guard split > payload.startIndex, key.count <= Limits.key else { return nil }
        return Request(map: payload[..<split], key: key)
    }

    /// Appends an answer as a whole netstring. A value that would pass `Limits.reply` becomes a permanent failure.
    public static func append(_ answer: Answer, to output: inout [UInt8]) {
        switch answer {
        case .found(let value):
            guard value.count <= Limits.value else {
                append("PERM ", reason: "the value is longer than a reply may be", to: &output)
                return
            }
            Netstring.open(3 + value.count, in: &output)
            output.append(contentsOf: "OK ".utf8)
            output.append(contentsOf: value)
            output.append(comma)
        case .notFound: append("NOTFOUND ", reason: "", to: &output)
        case .temporary(let reason): append("TEMP ", reason: reason, to: &output)
        case .permanent(let reason): append("PERM ", reason: reason, to: &output)
        }
    }

    private static func append(_ status: String, reason: String, to output: inout [UInt8]) {
        let text = printable(Array(reason.utf8.prefix(Limits.reason))[...]).utf8
        Netstring.open(status.utf8.count + text.count, in: &output)
        output.append(contentsOf: status.utf8)
        output.append(contentsOf: text)
        output.append(comma)
    }

    /// What the payload of a reply means. One that means nothing is a temporary failure of this lookup.
    public static func answer(_ payload: ArraySlice<UInt8>) -> Answer {
        let split = payload.firstIndex(of: blank) ?? payload.endIndex
        let status = payload[..<split]
        let text = payload[min(split + 1, payload.endIndex)...]
        if status.elementsEqual("OK".utf8) { return .found(Array(text)) }
        if status.elementsEqual("NOTFOUND".utf8) { return .notFound }
        let reason = printable(text.prefix(Limits.reason))
        if status.elementsEqual("TEMP".utf8) { return .temporary(reason) }
        if status.elementsEqual("TIMEOUT".utf8) { return .temporary(reason.isEmpty ? "timeout" : reason) }
        if status.elementsEqual("PERM".utf8) { return .permanent(reason) }
        return .temporary("the map answered with an unknown status: " + printable(status.prefix(32)))
    }

    /// Text that can stand in a reply, a log line or on a terminal: one byte a character, `?` for all but ASCII's
    /// printable ones.
    static func printable(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") }, as: Unicode.ASCII.self)
    }
}
