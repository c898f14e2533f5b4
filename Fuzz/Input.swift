/// An input taken apart: settings and short pieces first, then the bytes that a peer sends.
struct Input {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        self.bytes = bytes[...]
    }

    /// All that has not been taken.
    var rest: [UInt8] { Array(bytes) }
    var isEmpty: Bool { bytes.isEmpty }

    /// The next byte; 0 behind the end.
    mutating func byte() -> UInt8 {
        bytes.popFirst() ?? 0
    }

    /// A piece that its length goes ahead of; shorter at the end.
    mutating func piece() -> [UInt8] {
        let piece = bytes.prefix(Int(byte()))
        bytes = bytes.dropFirst(piece.count)
        return Array(piece)
    }

    /// The same as text; what is not UTF-8 is replaced.
    mutating func text() -> String {
        String(decoding: piece(), as: UTF8.self)
    }
}

extension Collection<UInt8> {
    /// Whether a control character of ASCII is among them.
    var hasControls: Bool { contains { $0 < 0x20 || $0 == 0x7f } }

    /// How often some bytes occur; overlapping ones count.
    func occurrences(of wanted: [UInt8]) -> Int {
        let bytes = Array(self)
        guard !wanted.isEmpty, bytes.count >= wanted.count else { return 0 }
        return (0...(bytes.count - wanted.count)).count { bytes[$0..<($0 + wanted.count)].elementsEqual(wanted) }
    }
}
