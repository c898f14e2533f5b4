import CLinux
import Glibc
import Logging
import Synchronization
import Testing

@testable import Daemon

/// What one process hands on to another.
@Suite struct ParcelTests {
    private var sample: Parcel {
        var inner = Parcel()
        inner.add("empty", "")
        inner.add("bytes", (0...255).map { UInt8($0) })
        var parcel = Parcel()
        parcel.add("word", "a b\nc 3\n")
        parcel.add("number", -7)
        parcel.add("number", UInt64.max)
        parcel.add("inner", inner)
        parcel.add("inner", Parcel())
        return parcel
    }

    @Test func arrivesAsItWasSent() throws {
        let descriptor = try sample.descriptor()
        defer { close(descriptor) }
        let parcel = try #require(Parcel(descriptor: descriptor))
        #expect(parcel == sample)
        #expect(parcel.text("word") == "a b\nc 3\n")
        #expect(parcel.number("number") == -7)
        #expect(parcel.numbers("number", as: UInt64.self) == [.max], "what does not fit is left out")
        let inner = parcel.parcels("inner")
        #expect(inner.count == 2)
        #expect(inner[0].bytes("bytes") == (0...255).map { UInt8($0) })
        #expect(inner[0].text("empty") == "")
        #expect(inner[0].text("absent") == nil)
        #expect(inner[1] == Parcel())
        // Once more: whoever only wants to know whether it can be read leaves it whole.
        #expect(Parcel(descriptor: descriptor) == sample)
        #expect(linux_fcntl(descriptor, F_GETFD, 0) & FD_CLOEXEC != 0)
    }

    @Test(arguments: [
        "word", "word 1", "word 2\nx", "word -1\n", "word 1 1\nx", " 1\nx", "word 99999999999999999999\nx", "word\n",
    ])
    func refusesWhatIsNone(text: String) {
        #expect(Parcel(Array(text.utf8)) == nil)
    }

    @Test func aHalfReadParcelIsNone() {
        let bytes = sample.bytes
        // Where an item ends there is a parcel; nowhere else, and nothing crashes.
        let whole = (0..<bytes.count).filter { Parcel(Array(bytes[..<$0])) != nil }
        #expect(whole.count == 5)
    }

    @Test func programsArrive() throws {
        var program = ChildProcess.Program(path: "/bin/x", arguments: ["x", "", "a\nb"])
        program.environment = ["A=1", "B="]
        program.directory = "/tmp"
        program.identity = try Identity(user: "1", group: "2")
        program.announcesDescriptors = true
        #expect(ChildProcess.Program(program.packed) == program)
        let bare = ChildProcess.Program(path: "/bin/x", arguments: [])
        #expect(ChildProcess.Program(bare.packed) == bare)
        #expect(ChildProcess.Program(Parcel()) == nil)
    }
}

/// What children say on standard error.
@Suite struct ErrorPipeTests {
    private final class Lines: Sendable {
        let lines = Mutex<[String]>([])

        /// Those that have come since it was asked last.
        var taken: [String] {
            lines.withLock { lines in
                defer { lines = [] }
                return lines
            }
        }
    }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { nil }
            set {}
        }
        func log(event: LogEvent) {
            lines.lines.withLock { $0.append("\(event.message)") }
        }
    }

    private func logger() -> (Logger, Lines) {
        let lines = Lines()
        return (Logger(label: "") { _ in Handler(lines: lines) }, lines)
    }

    @Test func linesAreLoggedWhenTheyEnd() throws {
        let pipe = try ErrorPipe()
        defer { pipe.close() }
        let (log, said) = logger()
        #expect(!pipe.take(from: "map", log: log, now: 0))
        for (text, expected) in [("one\ntw", ["map: one"]), ("o\n\n", ["map: two"]), ("three", [])] {
            _ = write(pipe.writing, text, text.utf8.count)
            #expect(pipe.take(from: "map", log: log, now: 0))
            #expect(said.taken == expected)
        }
        pipe.drain(from: "map", log: log, now: 0)
        #expect(said.lines.withLock { $0 } == ["map: three"], "the last words need no line end")
    }

    @Test func tooMuchIsLeftOut() throws {
        let pipe = try ErrorPipe()
        defer { pipe.close() }
        let (log, said) = logger()
        let long = String(repeating: "x", count: 3000) + "\n"
        _ = write(pipe.writing, long, long.utf8.count)
        pipe.drain(from: "map", log: log, now: 0)
        #expect(said.lines.withLock { $0 } == ["map: " + String(repeating: "x", count: ErrorPipe.lineLimit)])
        let many = String(repeating: "y\n", count: 5000)
        _ = write(pipe.writing, many, many.utf8.count)
        pipe.drain(from: "map", log: log, now: 0)
        #expect(said.lines.withLock { $0.count } == Int(ErrorPipe.burst) + 1)
        #expect(said.lines.withLock { $0.last } == "map says more than is logged")
        _ = write(pipe.writing, "z\n", 2)
        pipe.drain(from: "map", log: log, now: 1000)
        #expect(said.lines.withLock { $0.last } == "map: z", "a second later there is room for one")
    }

    @Test func whoWritesNeverWaits() throws {
        let pipe = try ErrorPipe()
        defer { pipe.close() }
        let text = [UInt8](repeating: 120, count: 1 << 20)
        // It would block for ever.
        #expect(write(pipe.writing, text, text.count) < text.count)
        #expect(write(pipe.writing, text, text.count) == -1)
    }
}
