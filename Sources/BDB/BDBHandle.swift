import CBDB
import CLinux
import Glibc
public import PopmapFile
public import PopmapTable

/// An open Berkeley DB file, hash or btree.
///
/// Keys and values are bytes without a trailing NUL, as the original's makebdb writes them.
public final class BDBHandle: PopmapDatabase {
    /// Nanoseconds without a change after which a file that is not whole is broken, and not being made.
    ///
    /// The library takes no lock: whoever makes a file anew leaves it empty, or in pieces, for as long as the input
    /// takes to come.
    static let makingTime: Int64 = 60_000_000_000
    /// Nanoseconds a btree must be at rest: its first page does not tell how many keys there are to be.
    static let restingTime: Int64 = 100_000_000

    private var file: UnsafeMutablePointer<DB>?
    private let isWriting: Bool
    private var isEmpty = true

    /// Opens a database to read.
    /// - Throws: `PopmapFileError` where it is not a sound database.
    public init(reading path: String) throws(PopmapFileError) {
        var file: UnsafeMutablePointer<DB>?
        let code = bdb_open_reading(&file, path)
        guard code == 0 else { throw Self.error(code) }
        self.file = file
        isWriting = false
    }

    /// Makes an empty hash, in place of whatever the file holds.
    /// - Throws: `PopmapFileError` where that cannot be.
    public init(creating path: String) throws(PopmapFileError) {
        var file: UnsafeMutablePointer<DB>?
        let code = bdb_open_creating(&file, path, 0o644)
        guard code == 0 else { throw Self.error(code) }
        self.file = file
        isWriting = true
    }

    deinit {
        if let file { _ = unsafe bdb_close(file, 0) }
    }

    /// Looks through every page, and counts the keys of a hash: a file in pieces often opens well.
    public static func check(_ path: String, copyOf identity: FileIdentity) throws(PopmapSnapshotFailure) {
        let isYoung = identity.age.map { $0 < makingTime } ?? false
        var isWhole = true
        do throws(PopmapFileError) {
            let code = bdb_verify(path)
            guard code == 0 else { throw error(code) }
            let handle = try BDBHandle(reading: path)
            var count = 0
            try handle.forEachKey { _ in count += 1 }
            let copy = linux_open(path, O_RDONLY | O_CLOEXEC, 0)
            defer { close(copy) }
            if let meta = BDBMeta(descriptor: copy), meta.isHash { isWhole = count == meta.keys }
        } catch {
            throw isYoung ? .unsettled : .broken(error)
        }
        guard isWhole || !isYoung else { throw .unsettled }
    }

    /// Whether the first page tells that there is more to come.
    public static func isBeingWritten(_ descriptor: Int32, _ identity: FileIdentity) -> Bool {
        guard let age = identity.age, age < makingTime else { return false }
        guard let meta = BDBMeta(descriptor: descriptor) else { return identity.size < BDBMeta.size }
        if meta.fileSize != identity.size { return true }
        return meta.isHash ? meta.isUntouched(descriptor) : age < restingTime
    }

    /// The value of a key; nil where there is none.
    /// - Throws: `PopmapFileError` where the database is broken.
    public func fetch(_ key: [UInt8]) throws(PopmapFileError) -> [UInt8]? {
        guard let file else { return nil }
        var value: UnsafeMutableRawPointer?
        var length: UInt32 = 0
        let code = unsafe bdb_get(file, key, UInt32(key.count), &value, &length)
        if code == DB_NOTFOUND { return nil }
        guard code == 0 else { throw Self.error(code) }
        defer { unsafe free(value) }
        return unsafe Array(UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : Int(length)))
    }

    /// Calls with every key, in the order of the file.
    /// - Throws: `PopmapFileError` where the database is broken, or not whole.
    public func forEachKey(_ body: ([UInt8]) -> Void) throws(PopmapFileError) {
        guard let file else { return }
        var cursor: UnsafeMutablePointer<DBC>?
        let code = unsafe bdb_cursor(file, &cursor)
        guard code == 0, let cursor = unsafe cursor else { throw Self.error(code) }
        defer { unsafe bdb_close_cursor(cursor) }
        while true {
            var key: UnsafeRawPointer?
            var size: UInt32 = 0
            let code = unsafe bdb_next_key(cursor, &key, &size)
            if code == DB_NOTFOUND { return }
            guard code == 0 else { throw Self.error(code) }
            unsafe body(Array(UnsafeRawBufferPointer(start: key, count: key == nil ? 0 : Int(size))))
        }
    }

    /// Adds a key that is new.
    /// - Returns: false where it is there already, which leaves it as it is.
    /// - Throws: `PopmapFileError` where it cannot be written.
    public func insert(_ key: [UInt8], _ value: [UInt8]) throws(PopmapFileError) -> Bool {
        guard let file else { return false }
        let code = unsafe bdb_insert(file, key, UInt32(key.count), value, UInt32(value.count))
        if code == DB_KEYEXIST { return false }
        guard code == 0 else { throw Self.error(code) }
        isEmpty = false
        return true
    }

    /// Ends writing, and waits until all is on the disk.
    public func finish() throws(PopmapFileError) {
        guard let file = file.take() else { return }
        if isEmpty {
            // A key that comes and goes, so that the file is not taken for one whose keys are to come.
            _ = unsafe bdb_insert(file, [0], 1, [0], 1)
            _ = unsafe bdb_delete(file, [0], 1)
        }
        let code = unsafe bdb_close(file, 1)
        guard code == 0 else { throw Self.error(code) }
    }

    private static func error(_ code: Int32) -> PopmapFileError {
        // The library's word for a file of any other kind is EINVAL.
        if code == EINVAL { return PopmapFileError("not a Berkeley DB file, or a damaged one") }
        return PopmapFileError(String(cString: db_strerror(code)))
    }
}
