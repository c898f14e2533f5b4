/// One line of an IMAP4 server, as far as a proxy needs to understand it during the login.
enum IMAP4Response: Equatable {
    /// `* …`: the text behind the star and its blank.
    case untagged([UInt8])
    /// `+ …`: the text behind the plus and its blank.
    case continuation([UInt8])
    /// Our tag with OK; what stands behind the tag.
    case completed([UInt8])
    /// Our tag with NO or BAD; what stands behind the tag.
    case refused([UInt8])
    /// Nothing an IMAP4 server says here.
    case garbage

    /// Reads a line without its end.
    init(_ line: [UInt8], tag: [UInt8]) {
        if line.starts(with: [UInt8(ascii: "*"), UInt8(ascii: " ")]) {
            self = .untagged(Array(line.dropFirst(2)))
        } else if line.first == UInt8(ascii: "+") {
            self = .continuation(Array(line.dropFirst(line.count > 1 && line[1] == UInt8(ascii: " ") ? 2 : 1)))
        } else if line.starts(with: tag), line.count > tag.count, line[tag.count] == UInt8(ascii: " ") {
            let response = Array(line[(tag.count + 1)...])
            let status = response.prefix { $0 != UInt8(ascii: " ") }
            switch true {
            case ASCII.equal(status, "OK"): self = .completed(response)
            case ASCII.equal(status, "NO"), ASCII.equal(status, "BAD"): self = .refused(response)
            default: self = .garbage
            }
        } else {
            self = .garbage
        }
    }

    /// The words of a capability list: behind `CAPABILITY `, or in `[CAPABILITY …]` of a response's text.
    static func capabilities(in text: [UInt8]) -> [[UInt8]]? {
        if ASCII.begins(text, "CAPABILITY ") { return words(text.dropFirst(11)) }
        guard let open = text.firstIndex(of: UInt8(ascii: "[")) else { return nil }
        let inside = text[(open + 1)...]
        guard ASCII.begins(inside, "CAPABILITY "), let close = inside.firstIndex(of: UInt8(ascii: "]")) else {
            return nil
        }
        return words(inside[(inside.startIndex + 11)..<close])
    }

    /// `[CAPABILITY …]` and a blank, as they stand at the beginning of a status response's text; nothing where they do not.
    static func capabilityCode(of response: [UInt8]) -> ArraySlice<UInt8> {
        guard code(of: response).map({ ASCII.equal($0, "CAPABILITY") }) ?? false,
            let blank = response.firstIndex(of: UInt8(ascii: " ")),
            let end = response.firstIndex(of: UInt8(ascii: "]")),
            end > blank
        else { return [] }
        return response[(blank + 1)...end] + [UInt8(ascii: " ")]
    }

    /// The response code of a status response's text, in upper case and without brackets and arguments.
    static func code(of response: [UInt8]) -> [UInt8]? {
        guard let blank = response.firstIndex(of: UInt8(ascii: " ")), response.count > blank + 1,
            response[blank + 1] == UInt8(ascii: "[")
        else { return nil }
        return response[(blank + 2)...].prefix { $0 != UInt8(ascii: "]") && $0 != UInt8(ascii: " ") }.map(ASCII.upper)
    }

    private static func words(_ text: ArraySlice<UInt8>) -> [[UInt8]] {
        text.split(separator: UInt8(ascii: " ")).map { $0.map(ASCII.upper) }
    }
}
