import BDB
import CLinux
import Foundation
import PopmapFile
import Testing

/// makebdb beside the original's: each reads what the other wrote.
struct MakeBDBTests {
    private let scratch: Scratch
    private static let ours = FileKind.bdb.maker
    private static let theirs = FileKind.bdb.originalMaker

    init() throws {
        scratch = try Scratch()
        try Tool.require(Self.ours, Self.theirs)
    }

    private func contents(_ name: String) throws -> [String: String] {
        var entries: [String: String] = [:]
        try BDBReader(BDBSource(path: scratch.file(name))).forEach { key, value in
            entries[String(decoding: key, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
        }
        return entries
    }

    @Test(arguments: [
        "joe:10.0.0.1:110\njane: jane@foo.bar\n", "# a comment\n\n  x : y \n", "nocolon\nb:c\n", "a:1\na:2\n",
        "a:1\r\nb:2\n", "\"q\":\"v\"\n's':'t'\n\\a:b\\\nc:d\n", "straße:zwölf\n", "a:b",
        "long:" + String(repeating: "v", count: 4000) + "\nb:c\n", "a\u{1}b:c\u{2}\n",
    ])
    func itReadsWhatTheOriginalReads(text: String) throws {
        let theirs = try scratch.run(Self.theirs, ["theirs.db"], input: text)
        let ours = try scratch.run(Self.ours, ["ours.db"], input: text)
        #expect(ours.status == theirs.status)
        #expect(ours.output == theirs.output)
        #expect(ours.errors.isEmpty == theirs.errors.isEmpty)
        #expect(try contents("ours.db") == contents("theirs.db"))
    }

    /// The original takes entries without a key or without a value, which no lookup can have a use for.
    @Test func emptyKeysAndValuesAreLeftOut() throws {
        let text = ":v\nk:\na:b\n"
        #expect(try scratch.run(Self.theirs, ["theirs.db"], input: text).status == 0)
        let ours = try scratch.run(Self.ours, ["ours.db"], input: text)
        #expect(ours.status == 0)
        #expect(ours.errors.contains("line 1") && ours.errors.contains("line 2") && !ours.errors.contains("line 3"))
        #expect(try contents("theirs.db") == ["": "v", "k": "", "a": "b"])
        #expect(try contents("ours.db") == ["a": "b"])
    }

    /// The original writes memory of its own into the database for such a line.
    @Test func aLastLineThatIsNoEntryIsLeftOut() throws {
        let ours = try scratch.run(Self.ours, ["ours.db"], input: "a:b\nlast")
        #expect(ours.status == 0 && ours.errors.contains("line 2"))
        #expect(try contents("ours.db") == ["a": "b"])
    }

    @Test func eachReadsTheOthersFile() throws {
        let text = (0..<500).map { "user\($0):host\($0):110\n" }
        #expect(try scratch.run(Self.ours, ["ours.db"], input: text.joined()).status == 0)
        #expect(try scratch.run(Self.theirs, ["theirs.db"], input: text.joined()).status == 0)
        let read = try scratch.run(Self.ours, ["-u", "theirs.db"])
        #expect(read.status == 0)
        #expect(read.output.split(separator: "\n").map { "\($0)\n" }.sorted() == text.sorted())
        let theirs = try scratch.run(Self.theirs, ["--undo", "ours.db"])
        #expect(theirs.status == 0)
        #expect(theirs.output.split(separator: "\n").map { "\($0)\n" }.sorted() == text.sorted())
        #expect(
            try Original.ask("bdb", scratch.file("ours.db"), [Array("user7".utf8), [0x78]], in: scratch)
                == [.found(Array("host7:110".utf8)), .notFound])
    }

    private static let endings: [([String], Int32)] = [
        (["-h"], 0), (["--help"], 0), ([], 255), (["a", "b"], 255), (["--bogus", "a"], 255), (["-u", "missing"], 255),
        (["missing/a.db"], 255), (["-u", "junk"], 255),
    ]

    @Test(arguments: endings)
    func itEndsWithTheOriginalsStatus(arguments: [String], status: Int32) throws {
        try scratch.write(String(repeating: "no database", count: 100), to: "junk")
        let theirs = try scratch.run(Self.theirs, arguments)
        let ours = try scratch.run(Self.ours, arguments)
        #expect(theirs.status == status)
        #expect(ours.status == status)
        #expect(ours.output.isEmpty == theirs.output.isEmpty)
        #expect(ours.errors.isEmpty == theirs.errors.isEmpty)
    }

    @Test func theNewFileKeepsPermissionsAndLinks() throws {
        #expect(try scratch.run(Self.ours, ["real.db"], input: "a:1\n").status == 0)
        #expect(chmod(scratch.file("real.db"), 0o600) == 0)
        #expect(symlink("real.db", scratch.file("link.db")) == 0)
        #expect(try scratch.run(Self.ours, ["link.db"], input: "a:2\n").status == 0)
        #expect(try contents("real.db") == ["a": "2"])
        var status = stat()
        #expect(stat(scratch.file("real.db"), &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(lstat(scratch.file("link.db"), &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["link.db", "real.db"])
    }
}
