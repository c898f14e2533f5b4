import CGDBM
import CLinux
import Glibc
public import PopmapFile
public import PopmapTable

/// An open GDBM database; closed when it is let go. It belongs to one thread at a time.
///
/// Keys and values are bytes without a trailing NUL, as the original's makegdbm writes them.
public final class GDBMHandle: PopmapDatabase {
    private let file: GDBM_FILE

    /// Opens a database to read, without a lock: a lock, however short, makes a writer of the moment fail.
    /// - Parameter path: a file that nobody changes while it is open.
    /// - Throws: `PopmapFileError` where it is not a sound database.
    public init(reading path: String) throws(PopmapFileError) {
        guard let file = gdbm_open(path, 0, GDBM_READER | GDBM_NOLOCK | GDBM_CLOEXEC, 0, nil) else {
            throw Self.lastError
        }
        self.file = file
        // The file is in memory already: the library's own copies of its blocks are to stay few.
        var blocks = Self.cachedBlocks
        gdbm_setopt(file, Int32(GDBM_SETCACHESIZE), &blocks, Int32(MemoryLayout<Int>.size))
    }

    /// Blocks of usually 4 KiB that each reader keeps unpacked.
    private static let cachedBlocks = 256

    /// Makes an empty database, in place of whatever the file holds, locked against other writers.
    /// - Throws: `PopmapFileError` where that cannot be.
    public init(creating path: String) throws(PopmapFileError) {
        guard let file = gdbm_open(path, 0, GDBM_NEWDB | GDBM_CLOEXEC, 0o644, nil) else { throw Self.lastError }
        self.file = file
    }

    deinit {
        gdbm_close(file)
    }

    private static var lastError: PopmapFileError {
        let code = gdbm_last_error()
        let system = linux_errno()
        var text = String(cString: gdbm_strerror(code))
        if gdbm_check_syserr(code) != 0, system != 0 { text += ": " + String(cString: strerror(system)) }
        return PopmapFileError(text)
    }

    /// Reads the whole copy: truncated or half-written files often open well.
    public static func check(_ path: String, copyOf identity: FileIdentity) throws(PopmapSnapshotFailure) {
        do {
            try GDBMHandle(reading: path).forEachKey { _ in }
        } catch {
            throw .broken(error)
        }
    }

    /// Every GDBM writer locks the file from before it changes anything until all is written.
    public static func isBeingWritten(_ descriptor: Int32, _ identity: FileIdentity) -> Bool {
        identity.isLockedForWriting
    }

    private func with<Result>(_ bytes: [UInt8], _ body: (datum) -> Result) -> Result {
        unsafe bytes.withUnsafeBytes { raw in
            // The library takes pointers to mutable bytes and changes none.
            let base = unsafe UnsafeMutablePointer(mutating: raw.assumingMemoryBound(to: CChar.self).baseAddress)
            // An empty array has no address, and nil means no datum at all.
            var nothing: CChar = 0
            return unsafe withUnsafeMutablePointer(to: &nothing) { spare in
                unsafe body(datum(dptr: base ?? spare, dsize: Int32(raw.count)))
            }
        }
    }

    private static func take(_ found: datum) -> [UInt8] {
        defer { unsafe free(found.dptr) }
        return unsafe Array(UnsafeRawBufferPointer(start: found.dptr, count: Int(max(0, found.dsize))))
    }

    /// The value of a key; nil where there is none.
    /// - Throws: `PopmapFileError` where the database is broken.
    public func fetch(_ key: [UInt8]) throws(PopmapFileError) -> [UInt8]? {
        let found = with(key) { unsafe gdbm_fetch(file, $0) }
        if unsafe found.dptr != nil { return Self.take(found) }
        guard Int(gdbm_last_error()) == GDBM_ITEM_NOT_FOUND else { throw Self.lastError }
        return nil
    }

    /// Calls with every key, in the order of the file.
    /// - Throws: `PopmapFileError` where the database is broken, or not whole.
    public func forEachKey(_ body: ([UInt8]) -> Void) throws(PopmapFileError) {
        var key = gdbm_firstkey(file)
        var end = (code: gdbm_last_error(), reason: Self.lastError)
        while unsafe key.dptr != nil {
            let next = gdbm_nextkey(file, key)
            // Ahead of the body, which may ask the file for other things.
            if unsafe next.dptr == nil { end = (gdbm_last_error(), Self.lastError) }
            body(Self.take(key))
            key = next
        }
        guard Int(end.code) == GDBM_ITEM_NOT_FOUND else { throw end.reason }
    }

    /// Adds a key that is new.
    /// - Returns: false where it is there already, which leaves it as it is.
    /// - Throws: `PopmapFileError` where it cannot be written.
    public func insert(_ key: [UInt8], _ value: [UInt8]) throws(PopmapFileError) -> Bool {
        switch with(key, { key in with(value) { unsafe gdbm_store(file, key, $0, GDBM_INSERT) } }) {
        case 0: return true
        case 1: return false
        default: throw Self.lastError
        }
    }

    /// Waits until all is on the disk.
    public func finish() throws(PopmapFileError) {
        guard gdbm_sync(file) == 0 else { throw Self.lastError }
    }
}
