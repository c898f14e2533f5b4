import CLinux
import Foundation
import Lookup
import Loop
import PopmapFile
import Synchronization
import Testing

@testable import PopmapTable

/// A file's entries as a provider hands them over, beside what it answers.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct TableTests {
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        for kind in FileKind.allCases { try Tool.require(kind.provider, kind.maker, kind.originalMaker) }
    }

    private func make(_ kind: FileKind, _ text: String, by tool: String? = nil) throws {
        #expect(try scratch.run(tool ?? kind.maker, ["map.db"], input: text).status == 0)
    }

    private func serve(_ kind: FileKind) async throws -> Program {
        try await scratch.startProvider(["-m", "map.db"], of: kind.provider)
    }

    /// Calls on a loop with a client that gets tables.
    private func withClient<Value: Sendable>(
        _ body: @escaping @Sendable (Client, TableKeeper, isolated Loop) async throws -> Value
    ) async throws -> Value {
        let path = scratch.file("socket")
        return try await onLoop { loop in
            let keeper = TableKeeper(path: path)
            let client = Client(path: path, tables: keeper, on: loop.thread)
            defer { client.close() }
            return try await body(client, keeper, loop)
        }
    }

    /// Asks until a table is there; time is the machine's.
    private static func warm(_ client: Client, _ keeper: TableKeeper, _ loop: isolated Loop) async throws {
        for _ in 0..<2_000 {
            _ = client.answerAtOnce(Array("warm".utf8))
            if keeper.isReady, client.answerAtOnce(Array("warm".utf8)) != nil { return }
            await loop.thread.sleep(5)
        }
        throw Late(what: "a table")
    }

    @Test(arguments: FileKind.allCases, [true, false])
    func itSaysWhatTheProviderSays(kind: FileKind, isOriginal: Bool) async throws {
        let users = (0..<2000).map { "user\($0):\($0 % 7 == 0 ? "name@" : "")10.0.\($0 / 256).\($0 % 256):143\n" }
        // The original leaves a NUL behind a last line without an end.
        let odd = "straße 7:[2001:db8::7]\nlong:\(String(repeating: "x", count: 9000))\nlast:host"
        try make(
            kind, users.joined() + (isOriginal ? "straße 7:[2001:db8::7]\nlast:host" : odd),
            by: isOriginal ? kind.originalMaker : nil)
        let provider = try await serve(kind)
        defer { provider.stop() }
        let keys = ["user0", "user7", "user1999", "user2000", "", "straße 7", "last", "las", "lastt", "warm"]
        let asked = try keys.map { try scratch.ask($0) }
        let (read, long) = try await withClient { client, keeper, loop in
            try await Self.warm(client, keeper, loop)
            return (keys.map { client.answerAtOnce(Array($0.utf8)) }, client.answerAtOnce(Array("long".utf8)))
        }
        #expect(read == asked.map(Optional.some))
        // What no reply has room for is for the provider to say.
        #expect(isOriginal ? long == .notFound : long == nil)
        #expect(asked.contains(.found("name@10.0.0.7:143")) && asked.contains(.found("host")))
    }

    /// What a loop that asks all the time is told by the test, and tells it.
    private final class Watch: Sendable {
        struct State {
            /// The versions that may be answered now.
            var allowed: Set<Int> = [0]
            var wrong: [String] = []
            var tables = 0
            var isOver = false
        }

        let state = Mutex(State())
    }

    @Test(arguments: FileKind.allCases)
    func nobodyReadsWhatWasBefore(kind: FileKind) async throws {
        func text(_ version: Int) -> String { (0..<3000).map { "user\($0):host-\(version)\n" }.joined() }
        try make(kind, text(0))
        let provider = try await serve(kind)
        defer { provider.stop() }
        let watch = Watch()
        async let asking: Void = withClient { client, keeper, loop in
            var number = 0
            while !watch.state.withLock({ $0.isOver }) {
                // What may be answered is read at the beginning of a turn and behind each answer, which may fall on either
                // side of a change.
                await loop.thread.sleep(1)
                let before = watch.state.withLock { $0.allowed }
                for _ in 0..<16 {
                    number = (number + 7) % 3000
                    let key = Array("user\(number)".utf8)
                    let read = client.answerAtOnce(key)
                    let answer = if let read { read } else { await client.lookUp(key) }
                    watch.state.withLock { state in
                        let allowed = before.union(state.allowed)
                        if !allowed.contains(where: { answer == .found("host-\($0)") }) {
                            state.wrong.append("\(answer)")
                        }
                        if read != nil { state.tables += 1 }
                    }
                }
            }
        }
        for version in 1...6 {
            try await eventually("lookups in a table") { watch.state.withLock { $0.tables > 200 } }
            _ = watch.state.withLock { $0.allowed.insert(version) }
            try make(kind, text(version))
            watch.state.withLock { state in
                state.allowed = [version]
                state.tables = 0
            }
        }
        try await eventually("lookups in the last table") { watch.state.withLock { $0.tables > 200 } }
        watch.state.withLock { $0.isOver = true }
        try await asking
        #expect(watch.state.withLock { $0.wrong } == [])
    }

    @Test(arguments: FileKind.allCases)
    func itOutlivesItsProvider(kind: FileKind) async throws {
        try make(kind, "joe:10.0.0.1\nwarm:here\n")
        let provider = try await serve(kind)
        let path = scratch.file("map.db")
        let pid = provider.pid
        let (alive, gone, recalled, forgotten) = try await withClient { client, keeper, loop in
            try await Self.warm(client, keeper, loop)
            try await sendEnd(pid)
            let alive = client.answerAtOnce(Array("joe".utf8))
            unlink(path)
            // The file is looked at once in a turn.
            await loop.thread.sleep(1)
            let gone = client.answerAtOnce(Array("joe".utf8))
            let recalled = ["joe", "jane"].map { client.recall(Array($0.utf8))?.value }
            keeper.forget()
            return (alive, gone, recalled, client.recall(Array("joe".utf8)) == nil)
        }
        #expect(alive == .found("10.0.0.1"))
        #expect(gone == nil)
        #expect(recalled == [Array("10.0.0.1".utf8), nil])
        #expect(forgotten)
    }

    @Test func aHangUpWithdrawsIt() async throws {
        try make(.gdbm, "joe:10.0.0.1\nwarm:here\n")
        let provider = try await serve(.gdbm)
        defer { provider.stop() }
        let pid = provider.pid
        let isBack = try await withClient { client, keeper, loop in
            try await Self.warm(client, keeper, loop)
            kill(pid, SIGHUP)
            for _ in 0..<2000 where keeper.isReady { await loop.thread.sleep(5) }
            guard !keeper.isReady, client.answerAtOnce(Array("joe".utf8)) == nil else { return false }
            // The provider reads the file anew first.
            guard await client.lookUp(Array("joe".utf8)) == .found("10.0.0.1") else { return false }
            try await Self.warm(client, keeper, loop)
            return true
        }
        #expect(isBack)
    }

    @Test func aMapWithoutTablesSaysSo() async throws {
        try Tool.require("\(Tool.products)/perdition-map-regex")
        try scratch.write("^joe$: 10.0.0.1\n", to: "map")
        let regex = try await scratch.startProvider(["-m", "map"], of: "\(Tool.products)/perdition-map-regex")
        defer { regex.stop() }
        let client = try #require(RawClient(scratch.file("socket")))
        let reply = "41:PERM lookups are all there is in this map,"
        #expect(client.send("13:table:popmap ,"))
        #expect(client.receive(reply.utf8.count) == reply)
    }

    /// A database that takes its time to be read through.
    private final class SlowDatabase: PopmapDatabase {
        static let begun = DispatchSemaphore(value: 0)
        static let goOn = DispatchSemaphore(value: 0)

        init(reading path: String) throws(PopmapFileError) {}
        init(creating path: String) throws(PopmapFileError) {}
        static func check(_ path: String, copyOf identity: FileIdentity) throws(PopmapSnapshotFailure) {}
        static func isBeingWritten(_ descriptor: Int32, _ identity: FileIdentity) -> Bool { false }
        func fetch(_ key: [UInt8]) throws(PopmapFileError) -> [UInt8]? { key }
        func insert(_ key: [UInt8], _ value: [UInt8]) throws(PopmapFileError) -> Bool { true }
        func finish() throws(PopmapFileError) {}

        func forEachKey(_ body: ([UInt8]) -> Void) throws(PopmapFileError) {
            Self.begun.signal()
            _ = Self.goOn.wait(timeout: .now() + 20)
            body([1])
        }
    }

    /// What came of it, in order.
    private final class Made: Sendable {
        let list = Mutex<[Bool]>([])
        func withLock<Value: Sendable>(_ body: (inout [Bool]) -> Value) -> Value { list.withLock { body(&$0) } }
    }

    /// Nobody waits for a table that is being made, least of all lookups; one that is withdrawn meanwhile is none.
    @Test func nobodyWaitsWhileOneIsMade() async throws {
        try scratch.write("any", to: "map.db")
        try await Task.sleep(for: .milliseconds(50))
        let source = PopmapSource<SlowDatabase>(path: scratch.file("map.db"))
        source.prepare()
        let made = Made()
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread { [source] in
            let table = try? PopmapReader(source).table(longestKey: 100, longestValue: 100)
            made.withLock { $0.append(table != nil) }
            done.signal()
        }
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { [source] in
                SlowDatabase.begun.wait()
                let other = PopmapReader(source)
                let second = try? other.table(longestKey: 100, longestValue: 100)
                let value = try? other.fetch([7])
                source.withdrawTable()
                made.withLock { $0 += [second != nil, value == [7], $0.isEmpty] }
                SlowDatabase.goOn.signal()
                done.wait()
                continuation.resume()
            }
        }
        // The second asker, a lookup and the withdrawal were through before the first had anything.
        #expect(made.withLock { $0 } == [false, true, true, false])
    }

    // MARK: What may be in the memory

    private static func identity(size: Int64 = 4096) -> FileIdentity {
        FileIdentity(device: 1, inode: 2, size: size, modified: 3, changed: 4)
    }

    private func table(_ entries: [(String, String?)]) throws -> PopmapTableFile {
        var maker = try #require(PopmapTableMaker(path: "/a/path", identity: Self.identity()))
        for (key, value) in entries { maker.add(Array(key.utf8), value.map { Array($0.utf8) }) }
        return try #require(maker.finish())
    }

    @Test func itIsReadAsItWasMade() throws {
        let entries = (0..<500).map { ("key \($0)", $0 % 5 == 0 ? nil : "value \($0)") }
        let file = try table(entries + [("", "nothing"), ("key 1", "second")])
        let table = try #require(PopmapTable(descriptor: file.descriptor))
        for (key, value) in entries {
            #expect(table.find(Array(key.utf8)) == value.map { .value(Array($0.utf8)) } ?? .unknown)
        }
        #expect(table.find([]) == .value(Array("nothing".utf8)))
        #expect(table.find(Array("key 500".utf8)) == .absent)
        #expect(table.path == "/a/path" && table.identity == Self.identity() && table.count == 502)
        // There is no such file.
        #expect(!table.isCurrent)
    }

    @Test func nobodyElseWritesToItOrMakesItSmaller() throws {
        let file = try table([("joe", "here")])
        #expect(linux_map_shared(file.descriptor, 4096) == nil)
        #expect(ftruncate(file.descriptor, 0) != 0)
        var byte: UInt8 = 1
        #expect(pwrite(file.descriptor, &byte, 1, 0) != 1)
        let plain = linux_memory_file("unsealed")
        defer { close(plain) }
        #expect(write(plain, [UInt8](repeating: 0, count: 4096), 4096) == 4096)
        #expect(PopmapTable(descriptor: plain) == nil)
        #expect(PopmapTable(descriptor: -1) == nil)
    }

    @Test func itGrowsNoLargerThanItsRoom() throws {
        var maker = try #require(PopmapTableMaker(path: "/a", identity: Self.identity(size: 0)))
        let value = [UInt8](repeating: 7, count: 8000)
        for number in 0..<200 { maker.add(Array("\(number)".utf8), value) }
        #expect(maker.finish() == nil)
        #expect(PopmapTableMaker(path: "/a", identity: Self.identity(size: .max)) == nil)
        #expect(PopmapTableMaker(path: String(repeating: "/a", count: 3000), identity: Self.identity()) == nil)
    }

    /// Any memory at all: it may be refused, or say anything, but nothing outside of it is read.
    @Test func nothingInItIsBelieved() throws {
        let source = try table((0..<40).map { ("key \($0)", "value \($0)") })
        var status = stat()
        #expect(fstat(source.descriptor, &status) == 0)
        let size = Int(status.st_size)
        var good = [UInt8](repeating: 0, count: size)
        #expect(pread(source.descriptor, &good, size, 0) == size)
        var random = SystemRandomNumberGenerator()
        for round in 0..<3000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let word = Int.random(in: 0..<(round % 2 == 0 ? 12 : size / 8), using: &random) * 8
                let value =
                    [0, 1, .max, UInt64(size), UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...4096)]
                    .randomElement(using: &random) ?? 0
                if word > 0 { withUnsafeBytes(of: value) { bytes.replaceSubrange(word..<(word + 8), with: $0) } }
            }
            var memory: UnsafeMutableRawPointer?
            let file = linux_open_memory("any", size, &memory)
            defer { close(file) }
            let room = try #require(memory)
            room.copyMemory(from: bytes, byteCount: size)
            #expect(linux_seal_memory(file, size) == 0)
            if let table = PopmapTable(descriptor: file) {
                for number in 0..<60 { _ = table.find(Array("key \(number)".utf8)) }
                _ = table.isCurrent
            }
            munmap(room, size)
        }
    }
}
