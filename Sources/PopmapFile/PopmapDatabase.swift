public import PopmapTable

/// One kind of database file, as its library sees it: what readers, writers and tools of this module need of it. An
/// instance belongs to one thread at a time, and is closed when it is let go.
public protocol PopmapDatabase: AnyObject, SendableMetatype {
    /// Opens a database to read, without a lock: a lock, however short, makes a writer of the moment fail.
    /// - Parameter path: a file that nobody changes while it is open.
    /// - Throws: `PopmapFileError` where it is not a sound database.
    init(reading path: String) throws(PopmapFileError)

    /// The value of a key; nil where there is none.
    /// - Throws: `PopmapFileError` where the database is broken.
    func fetch(_ key: [UInt8]) throws(PopmapFileError) -> [UInt8]?

    /// Calls with every key, in the order of the file.
    /// - Throws: `PopmapFileError` where the database is broken, or not whole.
    func forEachKey(_ body: ([UInt8]) -> Void) throws(PopmapFileError)

    /// Reads all of a copy once.
    /// - Parameters:
    ///   - path: the copy.
    ///   - identity: the file it is of.
    /// - Throws: `PopmapSnapshotFailure` where the database is broken, or not whole yet.
    static func check(_ path: String, copyOf identity: FileIdentity) throws(PopmapSnapshotFailure)

    /// Whether somebody is about to change the file, as far as this kind of database lets one see.
    /// - Parameters:
    ///   - descriptor: the file, open to read; its offset stays as it is.
    ///   - identity: its state.
    static func isBeingWritten(_ descriptor: Int32, _ identity: FileIdentity) -> Bool

    /// Makes an empty database, in place of whatever the file holds.
    /// - Throws: `PopmapFileError` where that cannot be.
    init(creating path: String) throws(PopmapFileError)

    /// Adds a key that is new.
    /// - Returns: false where it is there already, which leaves it as it is.
    /// - Throws: `PopmapFileError` where it cannot be written.
    func insert(_ key: [UInt8], _ value: [UInt8]) throws(PopmapFileError) -> Bool

    /// Ends writing, and waits until all is on the disk.
    /// - Throws: `PopmapFileError` where it cannot be written.
    func finish() throws(PopmapFileError)
}

/// What came of taking a copy of a database.
public enum PopmapSnapshotFailure: Error {
    /// The file changed, or is being written: another try may do.
    case unsettled
    /// The file cannot be read, or is no sound database.
    case broken(PopmapFileError)
}
