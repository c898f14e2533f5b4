import CLinux
import Glibc
import Synchronization

/// All that a popmap's file says, in memory shared with the provider that has read it: so that whoever has many lookups
/// need not ask for each.
///
/// The memory is the provider's, which may die or go wrong at any time. Nothing in it is believed that could lead to
/// memory that is not there: its size cannot change, and every number from it is compared with that size.
public final class PopmapTable: Sendable {
    /// What a table says of a key.
    public enum Finding: Equatable, Sendable {
        /// Its value.
        case value([UInt8])
        /// The file does not have it.
        case absent
        /// The provider is to be asked.
        case unknown
    }

    /// Path of the file.
    public let path: String
    /// State of the file that the table was made of.
    public let identity: FileIdentity
    /// Entries in it.
    public let count: Int
    private let seed: UInt64
    private let mask: Int
    private let buckets: Int
    private let records: Int
    private let size: Int
    /// Where it is. A number, as any thread may read what is there.
    private let address: UInt

    /// Takes a table that a provider has handed over.
    /// - Parameter descriptor: of its memory; it stays open, and is not needed any more.
    /// - Returns: nil where it holds no table, or one of another version.
    public init?(descriptor: Int32) {
        var size = 0
        guard let start = linux_map_sealed(descriptor, &size) else { return nil }
        let memory = UnsafeRawBufferPointer(start: start, count: size)
        let head = Self.head(memory)
        guard let head else {
            munmap(UnsafeMutableRawPointer(mutating: start), size)
            return nil
        }
        (path, identity, count, seed) = (head.path, head.identity, head.entries, head.seed)
        mask = head.bucketCount - 1
        buckets = head.buckets
        records = head.records
        self.size = size
        address = UInt(bitPattern: start)
    }

    deinit {
        munmap(UnsafeMutableRawPointer(bitPattern: address), size)
    }

    private struct Head {
        let path: String
        let identity: FileIdentity
        let entries: Int
        let seed: UInt64
        let bucketCount: Int
        let buckets: Int
        let records: Int
    }

    private static func head(_ memory: UnsafeRawBufferPointer) -> Head? {
        guard memory.count >= TableLayout.headSize, memory.count <= TableLayout.largest else { return nil }
        func word(_ word: TableLayout.Word) -> UInt64 {
            memory.load(fromByteOffset: word.rawValue * 8, as: UInt64.self)
        }
        func number(_ name: TableLayout.Word, atMost limit: Int) -> Int? {
            let value = word(name)
            return value <= UInt64(limit) ? Int(value) : nil
        }
        guard word(.magic) == TableLayout.magic,
            let length = number(.pathLength, atMost: min(TableLayout.longestPath, memory.count - TableLayout.headSize)),
            let bucketCount = number(.buckets, atMost: memory.count / 8), bucketCount > 0,
            bucketCount & (bucketCount - 1) == 0, let entries = number(.entries, atMost: bucketCount)
        else { return nil }
        let records = TableLayout.padded(TableLayout.headSize + length)
        guard let buckets = number(.bucketsStart, atMost: memory.count - bucketCount * 8), buckets % 8 == 0,
            buckets >= records
        else { return nil }
        let path = memory[TableLayout.headSize..<(TableLayout.headSize + length)]
        guard path.first == UInt8(ascii: "/"), !path.contains(0) else { return nil }
        let identity = FileIdentity(
            device: word(.device), inode: word(.inode), size: Int64(bitPattern: word(.size)),
            modified: Int64(bitPattern: word(.modified)), changed: Int64(bitPattern: word(.changed)))
        return Head(
            path: String(decoding: path, as: UTF8.self), identity: identity, entries: entries, seed: word(.seed),
            bucketCount: bucketCount, buckets: buckets, records: records)
    }

    private var memory: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: size)
    }

    /// Whether the file is still as it was, as far as one system call can tell, and the provider has not withdrawn the
    /// table.
    public var isCurrent: Bool { !isRevoked && FileIdentity(path: path) == identity }

    private var isRevoked: Bool {
        let place = address + UInt(TableLayout.Word.revoked.rawValue * 8)
        guard let word = UnsafePointer<Atomic<UInt64>>(bitPattern: place) else { return true }
        return word.pointee.load(ordering: .relaxed) != 0
    }

    /// What the file says of a key.
    public func find(_ key: [UInt8]) -> Finding {
        unsafe key.withUnsafeBytes { unsafe find($0) }
    }

    private func find(_ key: UnsafeRawBufferPointer) -> Finding {
        let memory = memory
        let hash = TableLayout.hash(key, seed: seed)
        var bucket = Int(truncatingIfNeeded: hash) & mask
        for _ in 0...mask {
            let entry = memory.load(fromByteOffset: buckets + bucket * 8, as: UInt64.self)
            if entry == 0 { return .absent }
            if entry >> 32 == hash >> 32 {
                let record = Int(entry & 0xffff_ffff) * 8
                guard record >= records, record <= buckets - TableLayout.recordHead else { return .unknown }
                let keyLength = Int(memory.load(fromByteOffset: record, as: UInt32.self))
                let valueLength = memory.load(fromByteOffset: record + 4, as: UInt32.self)
                let start = record + TableLayout.recordHead
                guard keyLength <= buckets - start else { return .unknown }
                if keyLength == key.count, same(memory, start, key) {
                    guard Int(valueLength) <= buckets - start - keyLength else { return .unknown }
                    let value = start + keyLength
                    return .value(Array(memory[value..<(value + Int(valueLength))]))
                }
            }
            bucket = (bucket + 1) & mask
        }
        return .unknown
    }

    private func same(_ memory: UnsafeRawBufferPointer, _ start: Int, _ key: UnsafeRawBufferPointer) -> Bool {
        guard key.count > 0, let one = memory.baseAddress, let other = key.baseAddress else { return key.count == 0 }
        return memcmp(one + start, other, key.count) == 0
    }
}
