import Glibc

/// The first page of a Berkeley DB file, which tells whether the file is as long as it shall be, and how many keys a hash
/// has when it is whole. Layout as in that library's db_page.h, which no version has changed since 3.0.
struct BDBMeta {
    /// Bytes that are read.
    static let size = 512

    /// Whether the file is a hash; else it is a btree.
    let isHash: Bool
    /// Bytes of a page.
    let pageSize: Int
    /// Number of the last page.
    let lastPage: Int
    /// Keys of a hash.
    let keys: Int

    /// Takes the start of a file apart; nil where it is no hash or btree.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.size else { return nil }
        func number(_ offset: Int) -> UInt32 {
            bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        // Files of a machine with the other order of bytes are as good.
        let isSwapped: Bool
        switch number(12) {
        case Self.hash, Self.btree: isSwapped = false
        case Self.hash.byteSwapped, Self.btree.byteSwapped: isSwapped = true
        default: return nil
        }
        func field(_ offset: Int) -> UInt32 { isSwapped ? number(offset).byteSwapped : number(offset) }
        isHash = field(12) == Self.hash
        pageSize = Int(field(20))
        lastPage = Int(field(32))
        keys = Int(field(88))
        guard (512...65536).contains(pageSize), pageSize.nonzeroBitCount == 1 else { return nil }
    }

    private static let hash: UInt32 = 0x06_1561
    private static let btree: UInt32 = 0x05_3162

    /// Bytes of the whole file.
    var fileSize: Int64 { (Int64(lastPage) + 1) * Int64(pageSize) }

    /// Reads the start of a file; nil where it is no hash or btree.
    init?(descriptor: Int32) {
        let bytes = Self.read(descriptor, at: 0, Self.size)
        self.init(bytes)
    }

    /// Whether nobody has written to the first page of keys yet: so leaves the library a hash behind that it has just
    /// made, and so it stays where no key comes.
    func isUntouched(_ descriptor: Int32) -> Bool {
        isHash && keys == 0 && Self.read(descriptor, at: pageSize, 26).allSatisfy { $0 == 0 }
    }

    private static func read(_ descriptor: Int32, at offset: Int, _ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { room, got in
            got = max(0, unsafe pread(descriptor, room.baseAddress, count, offset))
        }
    }
}
