/// One line of the log in a buffer of fixed size: what comes from outside can neither end it nor make it longer.
struct LogLine: ~Copyable {
    /// Longest line, its end included. syslogd and the C perdition cut there as well.
    static let maximumLength = 4095

    private let buffer: UnsafeMutableBufferPointer<UInt8>
    private(set) var count = 0

    /// Writes into `buffer`, which must hold ``maximumLength`` bytes and one more.
    init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

    /// The line as far as it is written.
    var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(rebasing: buffer[..<count]) }

    private var room: Int { Self.maximumLength - 1 - count }

    /// Appends bytes that are known to be printable.
    mutating func append(trusted bytes: [UInt8]) {
        bytes.withUnsafeBytes { copy($0.prefix(room)) }
    }

    private mutating func copy(_ source: Slice<UnsafeRawBufferPointer>) {
        let target = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[count...]))
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
        count += source.count
    }

    /// Copies the longest beginning that is printable ASCII and has room.
    /// - Returns: how many bytes that were.
    private mutating func copy(printable source: UnsafeBufferPointer<UInt8>) -> Int {
        let bytes = UnsafeRawBufferPointer(source).prefix(room)
        let length = Self.printable(UnsafeRawBufferPointer(rebasing: bytes))
        copy(bytes.prefix(length))
        return length
    }

    /// How many bytes from the beginning are printable ASCII.
    private static func printable(_ bytes: UnsafeRawBufferPointer) -> Int {
        var length = 0
        // Eight at a time: below 0x20 borrows into the top bit, above 0x7e carries into it.
        while length + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: length, as: UInt64.self)
            let low = (word &- 0x2020_2020_2020_2020) & ~word
            let high = (word &+ 0x0101_0101_0101_0101) | word
            guard (low | high) & 0x8080_8080_8080_8080 == 0 else { break }
            length += 8
        }
        while length < bytes.count, bytes[length] >= 32, bytes[length] < 127 { length += 1 }
        return length
    }

    /// Appends text from anywhere: control characters become `\n`, `\t`, `\r` or `\ooo`, and a cut never splits a
    /// character.
    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(escaping: $0) }
    }

    private mutating func append(escaping source: UnsafeBufferPointer<UInt8>) {
        var index = 0
        while index < source.count {
            index += copy(printable: UnsafeBufferPointer(rebasing: source[index...]))
            guard index < source.count else { return }
            let byte = source[index]
            if byte < 32 || byte == 127 {
                guard append(escape: byte) else { return }
            } else if byte == 0xc2, index + 1 < source.count, source[index + 1] < 0xa0 {
                // U+0080 to U+009F: controls that some terminals obey.
                guard room >= 8, append(escape: byte), append(escape: source[index + 1]) else { return }
                index += 1
            } else {
                guard room >= Self.length(ofCharacter: byte) else { return }
                buffer[count] = byte
                count += 1
            }
            index += 1
        }
    }

    private mutating func append(escape byte: UInt8) -> Bool {
        let letter: UInt8? =
            switch byte {
            case 9: UInt8(ascii: "t")
            case 10: UInt8(ascii: "n")
            case 13: UInt8(ascii: "r")
            default: nil
            }
        guard room >= (letter == nil ? 4 : 2) else { return false }
        buffer[count] = UInt8(ascii: "\\")
        if let letter {
            buffer[count + 1] = letter
            count += 2
        } else {
            for place in 0..<3 {
                buffer[count + 1 + place] = UInt8(ascii: "0") + (byte >> (6 - 3 * UInt8(place))) & 7
            }
            count += 4
        }
        return true
    }

    /// How many bytes a character that begins with `byte` has in all; 1 for those in the middle of one.
    private static func length(ofCharacter byte: UInt8) -> Int {
        byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
    }

    /// Has `body` write where the line goes on, and keeps that as it is where all of it is printable ASCII.
    /// - Parameter body: fills the memory from its beginning, and returns how much of it.
    mutating func append(writing body: (UnsafeMutableBufferPointer<UInt8>) -> Int) {
        let free = UnsafeMutableBufferPointer(rebasing: buffer[count..<(count + room)])
        let written = UnsafeBufferPointer(rebasing: UnsafeBufferPointer(free)[..<max(0, min(body(free), free.count))])
        guard Self.printable(UnsafeRawBufferPointer(written)) < written.count else {
            count += written.count
            return
        }
        // It grows where it stands.
        Array(written).withUnsafeBufferPointer { append(escaping: $0) }
    }

    /// Ends the line.
    mutating func end(with byte: UInt8) {
        buffer[count] = byte
        count += 1
    }
}
