public import PopmapTable

/// One thread's view of a database file that may be rebuilt at any time.
public final class PopmapReader<Database: PopmapDatabase> {
    private let source: PopmapSource<Database>
    private var open: (snapshot: PopmapSnapshot<Database>, handle: Database)?

    /// A view that opens the database when it is first asked.
    public init(_ source: PopmapSource<Database>) {
        self.source = source
    }

    /// The value of a key as it is now; nil where there is none. A value ends at its first NUL, if it has one: the
    /// original's makegdbm leaves one behind a last line without an end.
    /// - Throws: `PopmapFileError` where the database is missing, broken, or being built for the first time.
    public func fetch(_ key: [UInt8]) throws(PopmapFileError) -> [UInt8]? {
        guard let value = try handle().fetch(key) else { return nil }
        return value.untilNUL
    }

    /// All entries as they are now, in one piece of memory for others to read; nil where there is none at present: while
    /// the file is being rebuilt or was changed a moment ago, or for good where it is very large.
    /// - Parameters:
    ///   - longestKey: bytes of the longest key there are lookups for.
    ///   - longestValue: bytes of the longest value a reply can have; for others the table says to ask.
    /// - Throws: `PopmapFileError` as `fetch` does.
    public func table(longestKey: Int, longestValue: Int) throws(PopmapFileError) -> PopmapTableFile? {
        if open?.snapshot.isWithdrawn == true { open = nil }
        let handle = try handle()
        guard let snapshot = open?.snapshot, source.isCurrent(snapshot) else { return nil }
        return try snapshot.table(of: source.path, reader: handle, limits: (longestKey, longestValue))
    }

    /// Calls with every key and value, in the order of the file.
    /// - Throws: `PopmapFileError` as `fetch` does.
    public func forEach(_ body: (_ key: [UInt8], _ value: [UInt8]) -> Void) throws(PopmapFileError) {
        let handle = try handle()
        var keys: [[UInt8]] = []
        try handle.forEachKey { keys.append($0) }
        for key in keys {
            guard let value = try handle.fetch(key) else { continue }
            body(key, value.untilNUL)
        }
    }

    /// Begins anew, even where the file looks unchanged.
    public func reopen() {
        source.renew(open?.snapshot)
        open = nil
    }

    private func handle() throws(PopmapFileError) -> Database {
        if let open, source.isCurrent(open.snapshot) { return open.handle }
        let snapshot = try source.current()
        if let open, open.snapshot === snapshot { return open.handle }
        open = nil
        let handle = try snapshot.open()
        open = (snapshot, handle)
        return handle
    }
}

extension [UInt8] {
    /// What is ahead of the first NUL; all where there is none.
    var untilNUL: [UInt8] { firstIndex(of: 0).map { Array(self[..<$0]) } ?? self }
}
