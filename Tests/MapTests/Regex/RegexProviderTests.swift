import CLinux
import Foundation
import Lookup
import Testing

/// perdition-map-regex as a program.
struct RegexProviderTests {
    private let scratch: Scratch
    private static let provider = "\(Tool.products)/perdition-map-regex"
    /// Back-references: glibc's matcher takes hours for the key below.
    private static let endless = "^(.*)(.*)(.*)\\\\1\\\\2\\\\3x$: never\n"
    private static let poison = String(repeating: "a", count: 400)

    init() throws {
        scratch = try Scratch()
        try Tool.require(Self.provider)
    }

    private func start(_ arguments: [String] = []) async throws -> Program {
        try await scratch.startProvider(["-m", "popmap.re"] + arguments, of: Self.provider)
    }

    /// The processes a provider has started.
    private func children(_ provider: Program) throws -> [Int32] {
        let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(provider.pid)/task")
        return tasks.flatMap { task in
            let list = try? String(contentsOfFile: "/proc/\(provider.pid)/task/\(task)/children", encoding: .utf8)
            return (list ?? "").split(separator: " ").compactMap { Int32($0) }
        }
    }

    @Test func oneQueryOnTheTerminal() throws {
        try scratch.write("^j: h:143\n", to: "popmap.re")
        let found = try scratch.run(Self.provider, ["-m", "popmap.re", "--query", "joe"])
        #expect(found == Outcome(status: 0, output: "h:143\n", errors: ""))
        #expect(try scratch.run(Self.provider, ["-m", "popmap.re", "--query", "ann"]).status == 1)
        // Without a file's name it is the original's.
        let none = try scratch.run(Self.provider, ["--query", "joe"])
        #expect(none.status != 75 || none.errors.contains("/etc/perdition/popmap.re"))
    }

    @Test func aMissingFileIsTemporaryUntilItIsThere() async throws {
        let provider = try await start()
        defer { provider.stop() }
        #expect(try scratch.ask("joe").isTemporary)
        try scratch.write("(: h\n", to: "popmap.re")
        try await eventually("the broken line") {
            (try? scratch.ask("joe"))?.description.contains("popmap.re:1:") == true
        }
        try scratch.write("^j: h\n", to: "popmap.re")
        try await eventually("the file") { (try? scratch.ask("joe")) == .found("h") }
        #expect(try scratch.ask("ann") == .notFound)
    }

    @Test func theFileIsReadAgainOnHangUpOnly() async throws {
        try scratch.write("^j: one\n", to: "popmap.re")
        let provider = try await start()
        defer { provider.stop() }
        #expect(try scratch.ask("joe") == .found("one"))
        try scratch.write("^j: two\n", to: "popmap.re")
        for _ in 0..<8 { #expect(try scratch.ask("joe") == .found("one")) }
        provider.signal(SIGHUP)
        try await eventually("the new rules") { (try? scratch.ask("joe")) == .found("two") }
        // Whichever worker answers.
        for _ in 0..<40 { #expect(try scratch.ask("joe") == .found("two")) }
    }

    @Test func goodRulesOutliveABrokenFile() async throws {
        try scratch.write("^j: one\n", to: "popmap.re")
        try scratch.write("", to: "log")
        let log = try FileHandle(forWritingTo: URL(fileURLWithPath: scratch.file("log")))
        let provider = try Program(
            Self.provider, ["--socket", "socket", "-F", "+", "-m", "popmap.re"], in: scratch.path, errors: log)
        defer { provider.stop() }
        try await eventually("the provider") { BlockingClient(path: scratch.file("socket")) != nil }
        func complaint(_ text: String) -> Bool {
            guard (try? scratch.ask("joe")) == .found("one") else { return false }
            return (try? String(contentsOfFile: scratch.file("log"), encoding: .utf8))?.contains(text) == true
        }
        #expect(try scratch.ask("joe") == .found("one"))
        try scratch.write("^j: two\n(: three\n", to: "popmap.re")
        provider.signal(SIGHUP)
        try await eventually("the complaint") { complaint("popmap.re:2: no regular expression") }
        unlink(scratch.file("popmap.re"))
        provider.signal(SIGHUP)
        try await eventually("the complaint") { complaint("popmap.re: No such file") }
        for _ in 0..<8 { #expect(try scratch.ask("joe") == .found("one")) }
        try scratch.write("^j: four\n", to: "popmap.re")
        provider.signal(SIGHUP)
        try await eventually("the mended file") { (try? scratch.ask("joe")) == .found("four") }
    }

    @Test func aKeyThatNeverEndsIsGivenUp() async throws {
        try scratch.write("^j: h\n" + Self.endless, to: "popmap.re")
        let provider = try await start(["--lookup_timeout", "2", "--workers", "1"])
        defer { provider.stop() }
        for _ in 0..<2 {
            #expect(try scratch.ask(Self.poison).isTemporary)
            try await eventually("an answer") { (try? scratch.ask("joe")) == .found("h") }
        }
        // None of them goes on.
        #expect(try children(provider).count <= 1)
    }

    @Test func othersAreAnsweredMeanwhile() async throws {
        try scratch.write("^j: h\n" + Self.endless, to: "popmap.re")
        let provider = try await start(["--lookup_timeout", "60", "--workers", "2"])
        defer { provider.stop() }
        let late = try #require(RawClient(scratch.file("socket")))
        #expect(late.send("407:popmap \(Self.poison),"))
        for _ in 0..<50 { #expect(try scratch.ask("joe") == .found("h")) }
        // What it works on ends with it.
        let working = try children(provider)
        #expect(!working.isEmpty)
        provider.signal(SIGKILL)
        try await eventually("the end of its processes") { working.allSatisfy { kill($0, 0) != 0 } }
    }

    @Test func aProcessThatDiesIsReplaced() async throws {
        try scratch.write("^j: h\n", to: "popmap.re")
        let provider = try await start(["--workers", "1"])
        defer { provider.stop() }
        for _ in 0..<5 {
            #expect(try scratch.ask("joe") == .found("h"))
            for pid in try children(provider) { kill(pid, SIGKILL) }
        }
        #expect(try scratch.ask("joe") == .found("h"))
        // One that stands still is as late as one that works.
        for pid in try children(provider) { try await sendStop(pid) }
        #expect(try scratch.ask("joe").isTemporary)
        try await eventually("an answer") { (try? scratch.ask("joe")) == .found("h") }
        #expect(try children(provider).count == 1)
    }

    @Test func theFileMayBeLarge() async throws {
        let text = (0..<10_000).map { "^user\($0)$: host\($0)\n" }.joined()
        try scratch.write(text, to: "popmap.re")
        let provider = try await start(["--lookup_timeout", "30", "--workers", "1"])
        defer { provider.stop() }
        for number in [0, 4711, 9999] { #expect(try scratch.ask("user\(number)") == .found("host\(number)")) }
        #expect(try scratch.ask("user10000") == .notFound)
        try scratch.write(String(repeating: "#", count: (1 << 20) + 1), to: "large.re")
        let outcome = try scratch.run(Self.provider, ["-m", "large.re", "--query", "joe"])
        #expect(outcome.status == 75 && outcome.errors.contains("larger than"))
    }
}
