/// Text with quotes, backslashes and comments, taken apart byte by byte as vanessa_adt does it for the C perdition: the
/// grammar of perdition.conf and of popmap.re. Words and values are for who reads it.
public struct QuotedText: Sendable {
    /// One byte of a line after quotes and backslashes have done their work.
    public enum Token: Equatable, Sendable {
        /// Part of the text; `bare` where it stood without quote and backslash.
        case byte(UInt8, bare: Bool)
        /// A quote was opened: even an empty word is a word.
        case quote
        /// The line goes on in the next.
        case join
        /// The end of the line, or of the text.
        case end
    }

    /// What is wrong with a line.
    public struct Failure: Error, Equatable, Sendable {
        /// The line, from 1.
        public let line: Int
        /// What is wrong with it.
        public let reason: String

        /// Something about a line.
        public init(line: Int, reason: String) {
            self.line = line
            self.reason = reason
        }
    }

    private let bytes: [UInt8]
    private var position = 0
    private var quote: UInt8?
    /// The line of the next byte, from 1.
    public private(set) var line = 1

    /// Starts at the first line.
    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Whether all has been handed out.
    public var isAtEnd: Bool { position >= bytes.count }

    /// The next byte of this line. A comment, a continued line and a line end inside quotes are gone already.
    /// - Throws: ``Failure`` for a quote that is never closed, and for NUL bytes.
    public mutating func token() throws(Failure) -> Token {
        while let byte = take() {
            switch byte {
            case 0:
                throw Failure(line: line, reason: "a NUL byte: is this a text file?")
            case UInt8(ascii: "\\") where quote != UInt8(ascii: "'"):
                guard let next = take() else { return .end }
                guard next != 0 else { throw Failure(line: line, reason: "a NUL byte: is this a text file?") }
                if next == UInt8(ascii: "\n") { return .join }
                return .byte(next, bare: false)
            case UInt8(ascii: "\n"):
                if quote == nil { return .end }
            case _ where byte == quote:
                quote = nil
            case UInt8(ascii: "'") where quote == nil, UInt8(ascii: "\"") where quote == nil:
                quote = byte
                return .quote
            case UInt8(ascii: "#") where quote == nil:
                skipComment()
                return .end
            default:
                return .byte(byte, bare: quote == nil)
            }
        }
        guard quote == nil else { throw Failure(line: line, reason: "a quote is opened and never closed") }
        return .end
    }

    /// Whether a byte parts words where it is bare.
    public static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    /// A backslash carries a comment on to the next line, too.
    private mutating func skipComment() {
        while let byte = take() {
            if byte == UInt8(ascii: "\\") { _ = take() }
            if byte == UInt8(ascii: "\n") { return }
        }
    }

    /// The next byte; CR, LF and CR LF are one line end each.
    private mutating func take() -> UInt8? {
        guard position < bytes.count else { return nil }
        let byte = bytes[position]
        position += 1
        guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") else { return byte }
        if byte == UInt8(ascii: "\r"), position < bytes.count, bytes[position] == UInt8(ascii: "\n") { position += 1 }
        line += 1
        return UInt8(ascii: "\n")
    }
}
