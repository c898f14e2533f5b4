import CLinux
import Foundation
import GDBM
import PopmapFile
import Testing

/// makegdbm beside the original's: each reads what the other wrote.
struct MakeGDBMTests {
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        try Tool.require(Tool.makegdbm, Tool.originalMakegdbm)
    }

    /// What the file holds, by our own reading.
    private func contents(_ name: String) throws -> [String: String] {
        var entries: [String: String] = [:]
        try GDBMReader(GDBMSource(path: scratch.file(name))).forEach { key, value in
            entries[String(decoding: key, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
        }
        return entries
    }

    @Test(arguments: [
        "joe:10.0.0.1:110\njane: jane@foo.bar\n", "# a comment\n\n  x : y \n", "nocolon\nb:c\n", "a:1\na:2\n",
        "a:1\r\nb:2\n",
        ":v\nk:\n::\n:::\n", "\"q\":\"v\"\n's':'t'\n\\a:b\\\nc:d\n", "", "\n\n", "straße:zwölf\n", "a:b",
        "long:" + String(repeating: "v", count: 4000) + "\nb:c\n", "a\u{1}b:c\u{2}\n",
    ])
    func itReadsWhatTheOriginalReads(text: String) throws {
        let theirs = try scratch.run(Tool.originalMakegdbm, ["theirs.db"], input: text)
        let ours = try scratch.run(Tool.makegdbm, ["ours.db"], input: text)
        #expect(ours.status == theirs.status)
        #expect(ours.output == theirs.output)
        #expect(ours.errors.split(separator: "\n").count == theirs.errors.split(separator: "\n").count)
        #expect(try contents("ours.db") == contents("theirs.db"))
    }

    /// The original looks for a colon in the memory behind such a line, and now and then finds one.
    @Test func aLastLineThatIsNoEntryIsLeftOut() throws {
        let ours = try scratch.run(Tool.makegdbm, ["ours.db"], input: "a:b\nlast")
        #expect(ours.status == 0 && ours.errors.contains("line 2"))
        #expect(try contents("ours.db") == ["a": "b"])
    }

    @Test func eachReadsTheOthersFile() throws {
        let text = (0..<500).map { "user\($0):host\($0):110\n" }
        #expect(try scratch.run(Tool.makegdbm, ["ours.db"], input: text.joined()).status == 0)
        #expect(try scratch.run(Tool.originalMakegdbm, ["theirs.db"], input: text.joined()).status == 0)
        let read = try scratch.run(Tool.makegdbm, ["-u", "theirs.db"])
        #expect(read.status == 0)
        #expect(read.output.split(separator: "\n").map { "\($0)\n" }.sorted() == text.sorted())
        // The original prints a NUL after key and after value.
        let theirs = try scratch.run(Tool.originalMakegdbm, ["--undo", "ours.db"])
        #expect(theirs.status == 0)
        let lines = theirs.output.filter { $0 != "\0" }.split(separator: "\n").map { "\($0)\n" }
        #expect(lines.sorted() == text.sorted())
    }

    @Test func theOriginalsLibraryReadsOurFile() throws {
        try Tool.require(Tool.originalLibrary)
        #expect(try scratch.run(Tool.makegdbm, ["ours.db"], input: "joe:10.0.0.1:110\n").status == 0)
        let script = """
            import ctypes, sys
            library = ctypes.CDLL(sys.argv[1])
            value, length = ctypes.c_void_p(), ctypes.c_size_t()
            status = library.dbserver_get(sys.argv[3].encode(), sys.argv[2].encode(), ctypes.byref(value), ctypes.byref(length))
            print(status, ctypes.string_at(value, length.value).decode() if status == 0 else "")
            """
        func ask(_ key: String) throws -> String {
            let arguments = ["python3", "-c", script, Tool.originalLibrary, scratch.file("ours.db"), key]
            return try scratch.run("/usr/bin/env", arguments).output
        }
        #expect(try ask("joe") == "0 10.0.0.1:110\n")
        #expect(try ask("jane") == "-2 \n")
    }

    @Test func whatItPrintsMakesTheSameDatabase() throws {
        let text = "b:2:3\na:1\n c : d \nstraße:[::1]:143\n"
        #expect(try scratch.run(Tool.makegdbm, ["one.db"], input: text).status == 0)
        let printed = try scratch.run(Tool.makegdbm, ["--undo", "one.db"]).output
        #expect(try scratch.run(Tool.makegdbm, ["two.db"], input: printed).status == 0)
        #expect(try contents("one.db") == contents("two.db"))
        #expect(try contents("one.db").count == 4)
    }

    private static let endings: [([String], Int32)] = [
        (["-h"], 0), (["--help"], 0), ([], 255), (["a", "b"], 255), (["--bogus", "a"], 255), (["-u", "missing"], 255),
        (["missing/a.db"], 255), (["-u", "junk"], 255), ([""], 255),
    ]

    @Test(arguments: endings)
    func itEndsWithTheOriginalsStatus(arguments: [String], status: Int32) throws {
        try scratch.write("no database", to: "junk")
        let theirs = try scratch.run(Tool.originalMakegdbm, arguments)
        let ours = try scratch.run(Tool.makegdbm, arguments)
        #expect(theirs.status == status)
        #expect(ours.status == status)
        #expect(ours.output.isEmpty == theirs.output.isEmpty)
        #expect(ours.errors.isEmpty == theirs.errors.isEmpty)
    }

    @Test func theNewFileKeepsPermissionsAndLinks() throws {
        #expect(try scratch.run(Tool.makegdbm, ["real.db"], input: "a:1\n").status == 0)
        #expect(chmod(scratch.file("real.db"), 0o600) == 0)
        #expect(symlink("real.db", scratch.file("link.db")) == 0)
        #expect(try scratch.run(Tool.makegdbm, ["link.db"], input: "a:2\n").status == 0)
        #expect(try contents("real.db") == ["a": "2"])
        var status = stat()
        #expect(stat(scratch.file("real.db"), &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(lstat(scratch.file("link.db"), &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["link.db", "real.db"])
    }

    @Test func aLineThatIsTooLongSpoilsNothing() throws {
        let text = "a:1\nlong:\(String(repeating: "x", count: PopmapText.lineLimit))\nb:2\n"
        let outcome = try scratch.run(Tool.makegdbm, ["a.db"], input: text)
        #expect(outcome.status == 0 && outcome.errors.contains("line 2"))
        #expect(try contents("a.db") == ["a": "1", "b": "2"])
    }
}
