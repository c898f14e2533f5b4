/// One command line of an IMAP4 client, as far as a proxy needs to understand it before the login.
///
/// Values only: the line is given without its end, a literal at its end is announced and brought by the caller.
struct IMAP4Command: Equatable {
    /// A literal that ends a line: `{n}`, or `{n+}` which is not waited for (RFC 7888).
    struct Literal: Equatable {
        /// Size in bytes; far too large ones are capped at `Int.max`.
        var size: Int
        /// Whether the client waits for a continuation request.
        var synchronising: Bool
    }

    /// What may be wrong with a line.
    enum Fault: Error, Equatable {
        /// No tag, or one with characters that no tag has (RFC 9051, `tag`).
        case invalidTag
        /// A tag and nothing behind it.
        case missingCommand(tag: [UInt8])
        /// A blank where the command should be.
        case nullCommand(tag: [UInt8])
    }

    /// The tag.
    var tag: [UInt8]
    /// The command in upper case.
    var name: [UInt8]
    /// What stands behind the blank after the command; nil where there is none.
    var rest: [UInt8]?

    /// Takes tag and command off a line.
    init(line: [UInt8]) throws(Fault) {
        let tagEnd = line.firstIndex(of: UInt8(ascii: " ")) ?? line.endIndex
        let tag = line[..<tagEnd]
        guard !tag.isEmpty, tag.allSatisfy(Self.isTagCharacter) else { throw .invalidTag }
        self.tag = [UInt8](tag)
        guard tagEnd < line.endIndex else { throw .missingCommand(tag: self.tag) }
        let body = line[(tagEnd + 1)...]
        let nameEnd = body.firstIndex(of: UInt8(ascii: " ")) ?? body.endIndex
        guard nameEnd > body.startIndex else { throw .nullCommand(tag: self.tag) }
        name = body[..<nameEnd].map(ASCII.upper)
        rest = nameEnd < body.endIndex ? [UInt8](body[(nameEnd + 1)...]) : nil
    }

    private static func isTagCharacter(_ byte: UInt8) -> Bool {
        guard byte > 0x20, byte < 0x7f else { return false }
        switch byte {
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "*"),
            UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "]"):
            return false
        default: return true
        }
    }

    /// The literal a line ends with, where it does.
    static func literal(atEndOf line: [UInt8]) -> (literal: Literal, start: Int)? {
        guard line.last == UInt8(ascii: "}"), let open = line.lastIndex(of: UInt8(ascii: "{")) else { return nil }
        var digits = line[(open + 1)..<(line.count - 1)]
        var synchronising = true
        if digits.last == UInt8(ascii: "+") {
            synchronising = false
            digits = digits.dropLast()
        }
        guard !digits.isEmpty, let size = ASCII.number(digits) else { return nil }
        return (Literal(size: size, synchronising: synchronising), open)
    }
}

/// Splits the arguments of a line: atoms and quoted strings behind single blanks.
struct IMAP4Arguments {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    /// Arguments as they stand behind the command and its blank.
    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// The same.
    init(_ bytes: [UInt8]) {
        self.init(bytes[...])
    }

    /// Whether everything was used.
    var atEnd: Bool { position >= bytes.endIndex }

    /// Takes the next argument; nil where it is empty, or a quoted string is not closed or not followed by a blank.
    mutating func next() -> [UInt8]? {
        guard position < bytes.endIndex else { return nil }
        let argument: [UInt8]
        if bytes[position] == UInt8(ascii: "\"") {
            guard let quoted = nextQuoted() else { return nil }
            argument = quoted
        } else {
            let end = bytes[position...].firstIndex(of: UInt8(ascii: " ")) ?? bytes.endIndex
            guard end > position else { return nil }
            argument = [UInt8](bytes[position..<end])
            position = end
        }
        return argument
    }

    /// Takes the single blank between two arguments; false where there is none.
    mutating func blank() -> Bool {
        guard position < bytes.endIndex, bytes[position] == UInt8(ascii: " ") else { return false }
        position += 1
        return true
    }

    private mutating func nextQuoted() -> [UInt8]? {
        var text: [UInt8] = []
        // A password that outgrows its memory would leave a copy behind.
        text.reserveCapacity(bytes.endIndex - position)
        var index = position + 1
        while index < bytes.endIndex {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                let next = index + 1
                guard next == bytes.endIndex || bytes[next] == UInt8(ascii: " ") else { return nil }
                position = next
                return text
            case UInt8(ascii: "\\"):
                index += 1
                guard index < bytes.endIndex else { return nil }
                text.append(bytes[index])
            default: text.append(byte)
            }
            index += 1
        }
        return nil
    }
}
