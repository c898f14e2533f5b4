/// The question marks of a query.
enum SQLPlaceholder {
    /// The query with `$1` for each `?` that is not within quotes or a comment.
    static func numbered(_ query: String) -> String {
        var result: [UInt8] = []
        var rest = Array(query.utf8)[...]
        while let byte = rest.first {
            let length = opaque(rest)
            if length > 0 {
                result.append(contentsOf: rest.prefix(length))
                rest = rest.dropFirst(length)
            } else {
                rest.removeFirst()
                if byte == UInt8(ascii: "?") {
                    result.append(contentsOf: "$1".utf8)
                } else {
                    result.append(byte)
                }
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Bytes of the quoted text or comment that begins here; 0 where none does.
    private static func opaque(_ text: ArraySlice<UInt8>) -> Int {
        guard let first = text.first else { return 0 }
        switch first {
        case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"):
            // A doubled quote ends one text and begins the next, which comes to the same.
            guard let end = text.dropFirst().firstIndex(of: first) else { return text.count }
            return end - text.startIndex + 1
        case UInt8(ascii: "-") where text.starts(with: "--".utf8):
            guard let end = text.firstIndex(of: UInt8(ascii: "\n")) else { return text.count }
            return end - text.startIndex + 1
        case UInt8(ascii: "/") where text.starts(with: "/*".utf8):
            var rest = text.dropFirst(2)
            while !rest.isEmpty, !rest.starts(with: "*/".utf8) { rest.removeFirst() }
            return text.count - rest.dropFirst(2).count
        default: return 0
        }
    }
}
