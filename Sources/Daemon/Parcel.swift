internal import CLinux
internal import Glibc

/// Named values that one process hands on to another, in a nameless file in memory: nobody else can read them, as
/// everybody can arguments and root environments.
///
/// Names nobody knows are passed over, so that programs of two versions understand each other.
public struct Parcel: Sendable, Equatable {
    /// More than this is no parcel.
    static let maximumSize = 16 << 20

    private struct Item: Equatable {
        let name: String
        let value: [UInt8]
    }

    private var items: [Item] = []

    /// An empty one.
    public init() {}

    /// Adds a value; the same name can be there several times.
    /// - Parameter name: a word without blanks and line ends.
    public mutating func add(_ name: String, _ value: [UInt8]) {
        items.append(Item(name: name, value: value))
    }

    /// Adds a text.
    public mutating func add(_ name: String, _ text: String) {
        add(name, Array(text.utf8))
    }

    /// Adds a number.
    public mutating func add(_ name: String, _ number: some FixedWidthInteger) {
        add(name, String(number))
    }

    /// Adds a whole parcel.
    public mutating func add(_ name: String, _ parcel: Parcel) {
        add(name, parcel.bytes)
    }

    /// The first value of a name; nil where there is none.
    public func bytes(_ name: String) -> [UInt8]? {
        items.first { $0.name == name }?.value
    }

    /// The first value of a name as text.
    public func text(_ name: String) -> String? {
        bytes(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The first value of a name as a number.
    public func number<Number: FixedWidthInteger>(_ name: String, as type: Number.Type = Number.self) -> Number? {
        text(name).flatMap { Number($0) }
    }

    /// Every text of a name, in order.
    public func texts(_ name: String) -> [String] {
        items.filter { $0.name == name }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    /// Every number of a name, in order; what is none is left out.
    public func numbers<Number: FixedWidthInteger>(_ name: String, as type: Number.Type = Number.self) -> [Number] {
        texts(name).compactMap { Number($0) }
    }

    /// Every parcel of a name, in order; what is none is left out.
    public func parcels(_ name: String) -> [Parcel] {
        items.filter { $0.name == name }.compactMap { Parcel($0.value) }
    }

    // MARK: On the way

    /// `NAME LENGTH`, a line end and the value, for each.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for item in items {
            bytes += Array("\(item.name) \(item.value.count)\n".utf8)
            bytes += item.value
        }
        return bytes
    }

    /// Reads what ``bytes`` made; nil where it is something else.
    init?(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            let head = rest[..<end].split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            rest = rest[(end + 1)...]
            guard head.count == 2, !head[0].isEmpty, let count = Int(String(decoding: head[1], as: UTF8.self)),
                count >= 0, count <= rest.count
            else { return nil }
            items.append(Item(name: String(decoding: head[0], as: UTF8.self), value: Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
    }

    /// A descriptor to read it from, close-on-exec; the caller closes it.
    /// - Throws: where the system has no room for one.
    public func descriptor() throws(DaemonError) -> Int32 {
        let file = linux_memory_file("perdition")
        guard file >= 0 else { throw DaemonError("No file in memory", code: linux_errno()) }
        var bytes = bytes
        let isWhole = bytes.withUnsafeMutableBytes { bytes in
            defer { linux_wipe(bytes.baseAddress, bytes.count) }
            var sent = 0
            while sent < bytes.count {
                let count = write(file, bytes.baseAddress?.advanced(by: sent), bytes.count - sent)
                if count < 0, linux_errno() == EINTR { continue }
                guard count > 0 else { return false }
                sent += count
            }
            return lseek(file, 0, SEEK_SET) == 0
        }
        guard isWhole else {
            let code = linux_errno()
            close(file)
            throw DaemonError("No room for a file in memory", code: code)
        }
        return file
    }

    /// Reads a parcel from the descriptor another process made; it stays open. Nil where there is none.
    public init?(descriptor: Int32) {
        var bytes: [UInt8] = []
        var place: off_t = 0
        while true {
            let chunk = [UInt8](unsafeUninitializedCapacity: 65_536) { room, count in
                count = max(0, pread(descriptor, room.baseAddress, room.count, place))
            }
            guard !chunk.isEmpty else { break }
            bytes += chunk
            place += off_t(chunk.count)
            guard bytes.count <= Self.maximumSize else { return nil }
        }
        defer { bytes.withUnsafeMutableBytes { linux_wipe($0.baseAddress, $0.count) } }
        self.init(bytes)
    }
}
