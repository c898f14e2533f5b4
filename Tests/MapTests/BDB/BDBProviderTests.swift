import BDB
import CLinux
import Foundation
import Lookup
import PopmapFile
import PopmapTable
import Testing

/// perdition-map-bdb: its answers beside the original's, files of every kind, and files that are not whole.
struct BDBProviderTests {
    private let scratch: Scratch
    private static let kind = FileKind.bdb

    init() throws {
        scratch = try Scratch()
        try Tool.require(Self.kind.provider, Self.kind.maker, Self.kind.originalMaker)
    }

    private func reader(_ name: String) -> BDBReader { BDBReader(BDBSource(path: scratch.file(name))) }

    private func query(_ key: String, _ name: String) throws -> Outcome {
        try scratch.run(Self.kind.provider, ["-m", name, "--lookup_timeout", "0.4", "--query", key])
    }

    // MARK: - Beside the original

    /// The original returns a value without an end with what the memory behind it held before.
    @Test func itAnswersAsTheOriginalDoes() throws {
        var text = (0..<1000).map { "user\($0):user\($0)@host\($0).example.com:143\n" }.joined()
        for key in Original.keys where !key.contains(0x3a) && !key.contains(0x0a) && !key.isEmpty {
            // Keys of the original are C strings, and of ours bytes: what is no UTF-8 comes in by another way.
            if let name = String(validating: key, as: UTF8.self), key.count % 3 != 0 {
                text += "\(name):h\(key.count)\n"
            }
        }
        for maker in [Self.kind.maker, Self.kind.originalMaker] {
            #expect(try scratch.run(maker, ["map.db"], input: text).status == 0)
            let theirs = try #require(try Original.ask("bdb", scratch.file("map.db"), Original.keys, in: scratch))
            let reader = reader("map.db")
            #expect(theirs.filter { $0 == .notFound }.count > 20 && theirs.count > 180)
            for (key, reply) in zip(Original.keys, theirs) {
                let ours = try reader.fetch(key).map { Answer.found($0) } ?? .notFound
                #expect(ours.agrees(with: reply), "\(key.prefix(20)): ours \(ours), theirs \(reply)")
            }
        }
    }

    @Test func missingAndForeignFilesAreNoAnswerForBoth() throws {
        try scratch.write(String(repeating: "no database", count: 100), to: "junk")
        for name in ["missing", "junk", "."] {
            let theirs = try Original.ask("bdb", scratch.file(name), [[0x61]], in: scratch)
            #expect(theirs == [.failed(-1)])
            let ours = try query("a", name)
            #expect(ours.status == 75 && ours.output.isEmpty && ours.errors.contains(name))
        }
        let none = try scratch.run(Self.kind.provider, ["--query", "joe", "--lookup_timeout", "0.4"])
        #expect(none.status != 75 || none.errors.contains("/etc/perdition/popmap.bdb.db"))
    }

    // MARK: - Kinds of files

    @Test(arguments: ["$DB_HASH", "$DB_BTREE"])
    func otherProgramsMayHaveMadeIt(kind: String) async throws {
        let script = """
            use DB_File;
            tie my %map, "DB_File", "map.db", O_RDWR | O_CREAT | O_TRUNC, 0644, \(kind) or die $!;
            $map{"user$_"} = "host$_" for 1 .. 5000;
            untie %map;
            """
        let made = try scratch.run("/usr/bin/perl", ["-e", script])
        try #require(made.status == 0, "\(made.errors)")
        let provider = try await scratch.startProvider(["-m", "map.db"], of: Self.kind.provider)
        defer { provider.stop() }
        #expect(try scratch.ask("user4711") == .found("host4711"))
        #expect(try scratch.ask("user5001") == .notFound)
        #expect(try scratch.run(Self.kind.maker, ["map.db"], input: "joe:h\n").status == 0)
        #expect(try scratch.ask("joe") == .found("h"))
    }

    @Test func anEmptyOneOfOursIsEmpty() throws {
        #expect(try scratch.run(Self.kind.maker, ["map.db"]).status == 0)
        #expect(try query("joe", "map.db") == Outcome(status: 1, output: "", errors: ""))
        // The library leaves the same file behind when it has finished with no keys, and when it waits for the first.
        #expect(try scratch.run(Self.kind.originalMaker, ["map.db"]).status == 0)
        let young = try query("joe", "map.db")
        #expect(young.status == 75 && young.errors.contains("map.db is being rebuilt"))
    }

    // MARK: - Pieces

    @Test func noPieceOfAFileIsTakenForAWhole() throws {
        let text = (0..<2000).map { "user\($0):host\($0)\n" }.joined()
        #expect(try scratch.run(Self.kind.originalMaker, ["whole.db"], input: text).status == 0)
        let whole = try Data(contentsOf: URL(fileURLWithPath: scratch.file("whole.db")))
        #expect(try reader("whole.db").fetch(Array("user7".utf8)) == Array("host7".utf8))
        let pages = whole.count / 4096
        #expect(pages > 20)
        for cut in [1, 100, 511, 512, 4095] + (1..<pages).map({ $0 * 4096 }) {
            try whole.prefix(cut).write(to: URL(fileURLWithPath: scratch.file("cut.db")))
            #expect(throws: PopmapFileError.self, "\(cut) bytes") { try BDBHandle.snapshot(scratch.file("cut.db")) }
        }
        // Pages that the library has not come to yet; one without entries is as good as none.
        for page in 1..<pages {
            var holed = whole
            holed.replaceSubrange(page * 4096..<(page + 1) * 4096, with: Data(count: 4096))
            if whole[page * 4096 + 20] == 0, whole[page * 4096 + 21] == 0 { continue }
            try holed.write(to: URL(fileURLWithPath: scratch.file("holed.db")))
            #expect(throws: PopmapFileError.self, "page \(page)") { try BDBHandle.snapshot(scratch.file("holed.db")) }
        }
    }

    @Test func noiseIsRefusedOrRead() throws {
        #expect(try scratch.run(Self.kind.maker, ["whole.db"], input: "joe:h\nann:i\n").status == 0)
        let whole = try Data(contentsOf: URL(fileURLWithPath: scratch.file("whole.db")))
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var noisy = whole
            for _ in 0..<4 {
                noisy[Int.random(in: 0..<noisy.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            try noisy.write(to: URL(fileURLWithPath: scratch.file("noisy.db")))
            _ = try? BDBHandle.snapshot(scratch.file("noisy.db"))
        }
    }

    @Test func aHundredThousandUsers() async throws {
        let text = (0..<100_000).map { "user\($0):host\($0).example.com:143\n" }.joined()
        #expect(try scratch.run(Self.kind.originalMaker, ["map.db"], input: text).status == 0)
        let provider = try await scratch.startProvider(["-m", "map.db"], of: Self.kind.provider)
        defer { provider.stop() }
        guard var client = BlockingClient(path: scratch.file("socket"), seconds: 60) else {
            throw POSIXError(.ECONNREFUSED)
        }
        for _ in 0..<200 {
            let numbers = (0..<50).map { _ in Int.random(in: 0..<200_000) }
            let answers = client.lookUp(numbers.map { Array("user\($0)".utf8) })
            let right = numbers.map { $0 < 100_000 ? Answer.found("host\($0).example.com:143") : .notFound }
            #expect(answers == right)
        }
    }
}

extension BDBHandle {
    /// What a source does once with each state of a file.
    fileprivate static func snapshot(_ path: String) throws(PopmapFileError) {
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        guard let identity = FileIdentity(descriptor: descriptor) else { return }
        if isBeingWritten(descriptor, identity) { throw PopmapFileError("is being written") }
        do {
            try check(path, copyOf: identity)
        } catch {
            throw PopmapFileError("\(error)")
        }
    }
}
