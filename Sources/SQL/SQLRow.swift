/// What a row says of a user, as the database has it.
public struct SQLRow: Equatable, Sendable {
    /// `[user<delimiter>]host[:port]`; nil where it is NULL.
    public var server: [UInt8]?
    /// Nil where it is NULL, or not asked for.
    public var port: [UInt8]?

    /// A row.
    public init(server: [UInt8]?, port: [UInt8]?) {
        self.server = server
        self.port = port
    }

    /// The value of a popmap, composed as the original does: the port behind a colon where there is one.
    /// - Parameter word: both end at their first blank, as PostgreSQL's columns of fixed width need it.
    /// - Returns: nil where the row names no server.
    public func value(word: Bool) -> [UInt8]? {
        guard var value = server.map({ Self.trimmed($0, word: word) }), !value.isEmpty else { return nil }
        if let port = port.map({ Self.trimmed($0, word: word) }), !port.isEmpty {
            value.append(UInt8(ascii: ":"))
            value.append(contentsOf: port)
        }
        return value
    }

    private static func trimmed(_ bytes: [UInt8], word: Bool) -> [UInt8] {
        let blank = UInt8(ascii: " ")
        var part = bytes.drop { $0 == blank }
        if word { return Array(part.prefix { $0 != blank }) }
        while part.last == blank { part.removeLast() }
        return Array(part)
    }
}
