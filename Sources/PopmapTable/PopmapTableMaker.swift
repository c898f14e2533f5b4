import CLinux
import Glibc
import Synchronization

/// Makes the table of a file, entry by entry, where it is going to be: making one takes no other memory.
public struct PopmapTableMaker {
    private let seed = UInt64.random(in: 0...UInt64.max)
    private let file: PopmapTableFile
    private let memory: UnsafeMutableRawBufferPointer
    private let start: Int
    private var end: Int
    private var count = 0
    private var isFull = false

    /// An empty table; nil where the system has no memory for one.
    /// - Parameters:
    ///   - path: of the file, from the root.
    ///   - identity: the state of the file that the entries are of.
    public init?(path: String, identity: FileIdentity) {
        let path = Array(path.utf8)
        guard path.count <= TableLayout.longestPath, (0...Int64(TableLayout.largest / 16)).contains(identity.size)
        else {
            return nil
        }
        // Of addresses there are enough: a small entry can take a few times as much here as in the file.
        let size = Int(identity.size) * 8 + (1 << 20)
        guard let file = PopmapTableFile(size: size) else { return nil }
        self.file = file
        memory = file.memory
        start = TableLayout.padded(TableLayout.headSize + path.count)
        end = start
        let words: [(TableLayout.Word, UInt64)] = [
            (.magic, TableLayout.magic), (.device, identity.device), (.inode, identity.inode),
            (.size, UInt64(bitPattern: identity.size)), (.modified, UInt64(bitPattern: identity.modified)),
            (.changed, UInt64(bitPattern: identity.changed)), (.seed, seed), (.pathLength, UInt64(path.count)),
        ]
        for (word, value) in words { set(word, value) }
        UnsafeMutableRawBufferPointer(rebasing: memory[TableLayout.headSize...]).copyBytes(from: path)
    }

    private func set(_ word: TableLayout.Word, _ value: UInt64) {
        memory.storeBytes(of: value, toByteOffset: word.rawValue * 8, as: UInt64.self)
    }

    /// Adds an entry. Of several with one key the first counts.
    /// - Parameter value: nil where it is for the provider to say what the key has.
    public mutating func add(_ key: [UInt8], _ value: [UInt8]?) {
        let size = TableLayout.recordHead + key.count + (value?.count ?? 0)
        guard !isFull, end + TableLayout.padded(size) <= memory.count else {
            isFull = true
            return
        }
        memory.storeBytes(of: UInt32(truncatingIfNeeded: key.count), toByteOffset: end, as: UInt32.self)
        let length = value.map { UInt32(truncatingIfNeeded: $0.count) } ?? TableLayout.askLength
        memory.storeBytes(of: length, toByteOffset: end + 4, as: UInt32.self)
        let text = UnsafeMutableRawBufferPointer(rebasing: memory[(end + TableLayout.recordHead)...])
        text.copyBytes(from: key)
        if let value { UnsafeMutableRawBufferPointer(rebasing: text[key.count...]).copyBytes(from: value) }
        end += TableLayout.padded(size)
        count += 1
    }

    /// The table; nil where it would be larger than a table can be, or the system does not have what it takes.
    public func finish() -> PopmapTableFile? {
        // Half of the buckets stay empty, so that the way to the end of a row of full ones is short.
        var bucketCount = 16
        while bucketCount < count * 2 { bucketCount *= 2 }
        let size = end + bucketCount * 8
        guard !isFull, size <= memory.count, size <= TableLayout.largest else { return nil }
        var record = start
        while record < end {
            let keyLength = Int(memory.load(fromByteOffset: record, as: UInt32.self))
            let valueLength = memory.load(fromByteOffset: record + 4, as: UInt32.self)
            let first = record + TableLayout.recordHead
            let hash = TableLayout.hash(
                UnsafeRawBufferPointer(rebasing: memory[first..<(first + keyLength)]), seed: seed)
            var bucket = Int(truncatingIfNeeded: hash) & (bucketCount - 1)
            while memory.load(fromByteOffset: end + bucket * 8, as: UInt64.self) != 0 {
                bucket = (bucket + 1) & (bucketCount - 1)
            }
            let entry = hash & ~0xffff_ffff | UInt64(record / 8)
            memory.storeBytes(of: entry, toByteOffset: end + bucket * 8, as: UInt64.self)
            let value = valueLength == TableLayout.askLength ? 0 : Int(valueLength)
            record += TableLayout.padded(TableLayout.recordHead + keyLength + value)
        }
        set(.bucketsStart, UInt64(end))
        set(.buckets, UInt64(bucketCount))
        set(.entries, UInt64(count))
        return linux_seal_memory(file.descriptor, size) == 0 ? file : nil
    }
}

/// The memory of a table, with whoever made it.
public final class PopmapTableFile: Sendable {
    /// What others get to read it by.
    public let descriptor: Int32
    private let address: UInt
    private let size: Int

    fileprivate init?(size: Int) {
        var room: UnsafeMutableRawPointer?
        descriptor = linux_open_memory("popmap table", size, &room)
        address = UInt(bitPattern: room)
        self.size = size
        if room == nil { return nil }
    }

    deinit {
        if address != 0 { munmap(UnsafeMutableRawPointer(bitPattern: address), size) }
        if descriptor >= 0 { close(descriptor) }
    }

    fileprivate var memory: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: address), count: size)
    }

    /// Has all who hold the table ask instead, from now on.
    public func revoke() {
        let place = address + UInt(TableLayout.Word.revoked.rawValue * 8)
        UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: place)?.pointee.store(1, ordering: .releasing)
    }
}
