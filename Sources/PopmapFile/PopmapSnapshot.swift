import CLinux
import Glibc
import PopmapTable
import Synchronization

/// A private copy, in memory, of a database as it was at one moment.
///
/// The file itself cannot be read safely for long: its writers rewrite it in place, under the reader's map or between
/// two of its reads. A copy that has been found whole stays right whatever they do.
final class PopmapSnapshot<Database: PopmapDatabase>: Sendable {
    /// State of the file the copy was taken of.
    let identity: FileIdentity
    /// Whether the file had been at rest for longer than its time stamps are fine, so that any change shows in them.
    let settled: Bool
    private let descriptor: Int32
    private let table = Mutex<TableState>(.none)

    private enum TableState {
        case none
        /// Somebody reads the copy for one, without a lock: who withdraws it, or asks for keys, must not wait for that.
        case making
        case made(PopmapTableFile)
        /// There is to be none.
        case refused
    }

    /// The kernel stamps files with the time of its last tick, at most 10 milliseconds ago (at 100 Hz).
    static var tick: Int64 { 20_000_000 }

    /// Copies the file at a path, and reads the copy through once.
    init(of path: String) throws(PopmapSnapshotFailure) {
        let source = linux_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard source >= 0 else { throw .broken(PopmapFileError("\(path): \(Self.systemError)")) }
        defer { close(source) }
        var kind = stat()
        guard fstat(source, &kind) == 0, kind.st_mode & S_IFMT == S_IFREG else {
            throw .broken(PopmapFileError("\(path): not a file"))
        }
        guard let identity = FileIdentity(descriptor: source), !Database.isBeingWritten(source, identity) else {
            throw .unsettled
        }
        let descriptor = linux_memory_file("popmap")
        guard descriptor >= 0 else {
            throw .broken(PopmapFileError("no memory for a copy of \(path): \(Self.systemError)"))
        }
        self.identity = identity
        self.descriptor = descriptor
        // A stamp from the future is old: this clock is not the file's.
        settled = identity.age.map { $0 > Self.tick } ?? true

        guard Self.copy(source, descriptor) else {
            throw .broken(PopmapFileError("\(path) cannot be copied: \(Self.systemError)"))
        }
        guard let after = FileIdentity(path: path), after == identity, !Database.isBeingWritten(source, after) else {
            throw .unsettled
        }
        do throws(PopmapSnapshotFailure) {
            try Database.check(name, copyOf: identity)
        } catch {
            if case .broken(let reason) = error { throw .broken(PopmapFileError("\(path): \(reason)")) }
            throw error
        }
    }

    deinit {
        close(descriptor)
        withdrawTable()
    }

    /// All entries in one piece of memory, for others to read; made when it is first asked for. Nil while somebody
    /// else makes it, and where there is to be none.
    /// - Parameters:
    ///   - path: of the file.
    ///   - reader: of this copy.
    ///   - limits: bytes of the longest key and value there are lookups for.
    /// - Throws: `PopmapFileError` where the copy cannot be read.
    func table(
        of path: String, reader: Database, limits: (key: Int, value: Int)
    ) throws(PopmapFileError) -> PopmapTableFile? {
        let before = table.withLock { state in
            defer { if case .none = state { state = .making } }
            return state
        }
        switch before {
        case .made(let file): return file
        case .making, .refused: return nil
        case .none: break
        }
        let made: PopmapTableFile?
        do throws(PopmapFileError) {
            made = try Self.makeTable(of: path, identity, reader, limits)
        } catch {
            table.withLock { if case .making = $0 { $0 = .none } }
            throw error
        }
        return table.withLock { state in
            // It may have been withdrawn before it was there.
            guard case .making = state else { return nil }
            state = made.map { .made($0) } ?? .refused
            return made
        }
    }

    private static func makeTable(
        of path: String, _ identity: FileIdentity, _ reader: Database, _ limits: (key: Int, value: Int)
    ) throws(PopmapFileError) -> PopmapTableFile? {
        guard path.hasPrefix("/"), identity.size <= largestOfTable else { return nil }
        guard var maker = PopmapTableMaker(path: path, identity: identity) else { return nil }
        var failure: PopmapFileError?
        try reader.forEachKey { key in
            guard failure == nil, key.count <= limits.key else { return }
            do throws(PopmapFileError) {
                guard let text = try reader.fetch(key)?.untilNUL else { return }
                // What is too long for a reply is a fault, which the provider tells.
                maker.add(key, text.count <= limits.value ? text : nil)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return maker.finish()
    }

    /// Bytes of a file above which every lookup is left to the provider: reading all of it takes seconds.
    private static var largestOfTable: Int64 { 256 << 20 }

    /// Whether it makes no table, or none any more.
    var isWithdrawn: Bool {
        table.withLock { if case .refused = $0 { true } else { false } }
    }

    /// Has those who hold the table ask the provider from now on.
    func withdrawTable() {
        table.withLock { table in
            if case .made(let file) = table { file.revoke() }
            table = .refused
        }
    }

    /// A reader of this copy; one per thread.
    func open() throws(PopmapFileError) -> Database {
        try Database(reading: name)
    }

    /// A name of the copy; who opens it has a file offset of its own.
    private var name: String { "/proc/self/fd/\(descriptor)" }

    private static var systemError: String { String(cString: strerror(linux_errno())) }

    private static func copy(_ source: Int32, _ target: Int32) -> Bool {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 4096)
        defer { unsafe room.deallocate() }
        while true {
            let count = unsafe read(source, room.baseAddress, room.count)
            if count == 0 { return true }
            guard count > 0 else { return false }
            var written = 0
            while written < count {
                let step = unsafe write(target, room.baseAddress?.advanced(by: written), count - written)
                guard step > 0 else { return false }
                written += step
            }
        }
    }
}
