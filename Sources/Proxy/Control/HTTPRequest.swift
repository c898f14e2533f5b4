/// A request for metrics or the status page: as much of HTTP/1.1 (RFC 9112) as that takes, a GET without a body.
struct HTTPRequest: Equatable {
    /// The path, without what stands behind a question mark.
    var path: String
    /// The host it was sent to, without a port; nil where the client names none.
    var host: String?
    /// Whether the client takes OpenMetrics.
    var takesOpenMetrics = false

    /// Most lines of a request.
    static let mostLines = 64

    /// Why a request is refused.
    enum Fault: Error, Equatable {
        /// It is none.
        case malformed
        /// It wants something else than to read.
        case method
    }

    /// Reads the first line.
    init(line: [UInt8]) throws(Fault) {
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard words.count == 3, words[2].starts(with: "HTTP/1.".utf8), words[1].first == UInt8(ascii: "/") else {
            throw .malformed
        }
        guard words[0].elementsEqual("GET".utf8) else { throw .method }
        path = String(decoding: words[1].prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
    }

    /// Reads one of the lines behind it.
    mutating func add(field line: [UInt8]) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
        let value = String(decoding: line[(colon + 1)...].drop { $0 == 0x20 || $0 == 9 }, as: UTF8.self)
        switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
        case "host":
            guard host == nil else { return }
            host =
                value.hasPrefix("[")
                ? String(value.dropFirst().prefix { $0 != "]" }) : String(value.prefix { $0 != ":" })
        case "accept": takesOpenMetrics = takesOpenMetrics || value.contains("application/openmetrics-text")
        default: break
        }
    }

    /// Whether a client on this machine would name us so. A page from elsewhere whose name was made to lead here names
    /// that name.
    var isLocal: Bool {
        guard let host else { return false }
        return host.lowercased() == "localhost" || host == "::1"
            || host.hasPrefix("127.")
                && host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (48...57).contains($0) }
    }
}

/// What is answered.
struct HTTPResponse {
    /// The status line's number and words.
    var status = "200 OK"
    /// The type of the body.
    var type = "text/plain; charset=utf-8"
    /// The body.
    var body: String

    /// All of it, head and body.
    var bytes: [UInt8] {
        let head = """
            HTTP/1.1 \(status)\r
            Content-Type: \(type)\r
            Content-Length: \(body.utf8.count)\r
            Connection: close\r
            Cache-Control: no-store\r
            X-Content-Type-Options: nosniff\r
            X-Frame-Options: DENY\r
            Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r
            \(status.hasPrefix("405") ? "Allow: GET\r\n" : "")\r

            """
        return Array(head.utf8) + Array(body.utf8)
    }
}
