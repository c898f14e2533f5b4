import CLinux
import Glibc
import Synchronization

/// Makes the table of a file, entry by entry.
public struct PopmapTableMaker: ~Copyable {
    private let path: [UInt8]
    private let identity: FileIdentity
    private let seed = UInt64.random(in: 0...UInt64.max)
    private var records: [UInt8] = []
    private var places: [(hash: UInt64, place: Int)] = []

    /// An empty table.
    /// - Parameters:
    ///   - path: of the file, from the root.
    ///   - identity: the state of the file that the entries are of.
    public init(path: String, identity: FileIdentity) {
        self.path = Array(path.utf8)
        self.identity = identity
    }

    /// Adds an entry. Of several with one key the first counts.
    /// - Parameter value: nil where it is for the provider to say what the key has.
    public mutating func add(_ key: [UInt8], _ value: [UInt8]?) {
        unsafe places.append((key.withUnsafeBytes { unsafe TableLayout.hash($0, seed: seed) }, records.count))
        append(UInt32(truncatingIfNeeded: key.count))
        append(value.map { UInt32(truncatingIfNeeded: $0.count) } ?? TableLayout.askLength)
        records += key
        if let value { records += value }
        records.append(contentsOf: repeatElement(0, count: TableLayout.padded(records.count) - records.count))
    }

    private mutating func append(_ number: UInt32) {
        withUnsafeBytes(of: number) { records.append(contentsOf: $0) }
    }

    /// The table, in memory of its own; nil where the system has none, or it would be larger than a table can be.
    public consuming func finish() -> PopmapTableFile? {
        // Half of the buckets stay empty, so that the way to the end of a row of full ones is short.
        var bucketCount = 16
        while bucketCount < places.count * 2 { bucketCount *= 2 }
        let buckets = TableLayout.padded(TableLayout.headSize + path.count)
        let start = buckets + bucketCount * 8
        let size = start + records.count
        guard path.count <= TableLayout.longestPath, size <= TableLayout.largest else { return nil }
        var room: UnsafeMutableRawPointer?
        let descriptor = linux_sealed_memory("popmap table", size, &room)
        guard descriptor >= 0 else { return nil }
        guard let base = room else {
            close(descriptor)
            return nil
        }
        let memory = UnsafeMutableRawBufferPointer(start: base, count: size)
        let words: [(TableLayout.Word, UInt64)] = [
            (.magic, TableLayout.magic), (.device, identity.device), (.inode, identity.inode),
            (.size, UInt64(bitPattern: identity.size)), (.modified, UInt64(bitPattern: identity.modified)),
            (.changed, UInt64(bitPattern: identity.changed)), (.seed, seed), (.buckets, UInt64(bucketCount)),
            (.entries, UInt64(places.count)), (.pathLength, UInt64(path.count)),
        ]
        for (word, value) in words { memory.storeBytes(of: value, toByteOffset: word.rawValue * 8, as: UInt64.self) }
        UnsafeMutableRawBufferPointer(rebasing: memory[TableLayout.headSize...]).copyBytes(from: path)
        for (hash, place) in places {
            var bucket = Int(truncatingIfNeeded: hash) & (bucketCount - 1)
            while memory.load(fromByteOffset: buckets + bucket * 8, as: UInt64.self) != 0 {
                bucket = (bucket + 1) & (bucketCount - 1)
            }
            let entry = hash & ~0xffff_ffff | UInt64((start + place) / 8)
            memory.storeBytes(of: entry, toByteOffset: buckets + bucket * 8, as: UInt64.self)
        }
        UnsafeMutableRawBufferPointer(rebasing: memory[start...]).copyBytes(from: records)
        return PopmapTableFile(descriptor: descriptor, address: UInt(bitPattern: base), size: size)
    }
}

/// The memory of a table, with whoever made it.
public final class PopmapTableFile: Sendable {
    /// What others get to read it by.
    public let descriptor: Int32
    private let address: UInt
    private let size: Int

    fileprivate init(descriptor: Int32, address: UInt, size: Int) {
        self.descriptor = descriptor
        self.address = address
        self.size = size
    }

    deinit {
        munmap(UnsafeMutableRawPointer(bitPattern: address), size)
        close(descriptor)
    }

    /// Has all who hold the table ask instead, from now on.
    public func revoke() {
        let place = address + UInt(TableLayout.Word.revoked.rawValue * 8)
        UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: place)?.pointee.store(1, ordering: .releasing)
    }
}
