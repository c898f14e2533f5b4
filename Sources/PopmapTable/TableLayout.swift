/// Where everything is in the memory of a table.
///
/// The head is words of eight bytes in this machine's order, as memory is never sent to another one. Behind it come the
/// path, the records (two lengths of four bytes, the key, the value, up to the next word), and the buckets (a word each: the
/// upper half of the key's hash, and where its record is, in words).
enum TableLayout {
    /// The words of the head, in order.
    enum Word: Int, CaseIterable {
        /// ``magic``: the kind of memory, and the version of this layout.
        case magic
        /// Not 0 once the table is not to be used any more.
        case revoked
        /// The file the table was made of: ``FileIdentity``.
        case device, inode, size, modified, changed
        /// What hashes begin with.
        case seed
        /// Where the buckets begin, how many there are, a power of two, and entries in them.
        case bucketsStart, buckets, entries
        /// Bytes of the path, which follows the head.
        case pathLength
    }

    static let magic: UInt64 = 0x3230_6d70_7064_7470
    static let headSize = Word.allCases.count * 8
    /// Bytes of the two lengths ahead of a record.
    static let recordHead = 8
    /// Where records have a length instead of a value, it is for the provider to say what the key has.
    static let askLength = UInt32.max
    /// Bytes of the path of a file (`PATH_MAX`).
    static let longestPath = 4096
    /// A bucket's number of a record has 32 bits.
    static let largest = (1 << 32) * 8

    /// Up to the next whole word.
    static func padded(_ size: Int) -> Int { (size + 7) & ~7 }

    /// Spreads keys over the buckets: eight bytes a multiplication, folded.
    static func hash(_ key: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        var value = seed ^ UInt64(truncatingIfNeeded: key.count)
        var place = 0
        while key.count - place >= 8 {
            value = fold(value ^ key.loadUnaligned(fromByteOffset: place, as: UInt64.self))
            place += 8
        }
        var rest: UInt64 = 0
        while place < key.count {
            rest = rest << 8 | UInt64(key[place])
            place += 1
        }
        return fold(fold(value ^ rest) ^ 0x9e37_79b9_7f4a_7c15)
    }

    private static func fold(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
        return product.high ^ product.low
    }
}
