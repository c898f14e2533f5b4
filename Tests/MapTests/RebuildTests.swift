import CLinux
import Foundation
import Lookup
import Synchronization
import Testing

/// Rebuilding the database while lookups run: old or new answers, never an error or a wrong one.
@Suite(.serialized)
struct RebuildTests {
    private static let users = 10_000
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        for kind in FileKind.allCases { try Tool.require(kind.provider, kind.maker, kind.originalMaker) }
    }

    /// What lookups saw while something else went on.
    private struct Seen {
        var lookups = 0
        /// Answers by the version they came from.
        var versions: Set<String> = []
        var wrong: [String] = []
    }

    /// Asks for random users from several threads until told to stop.
    private final class Load: Sendable {
        let stopping = Atomic<Bool>(false)
        let seen = Mutex(Seen())
        private let running = Atomic<Int>(4)

        init(_ path: String) throws {
            for _ in 0..<4 {
                let thread = Thread {
                    self.ask(path)
                    self.running.subtract(1, ordering: .releasing)
                }
                thread.start()
            }
        }

        private func ask(_ path: String) {
            var mine = Seen()
            if var client = BlockingClient(path: path) {
                while !stopping.load(ordering: .acquiring) {
                    let numbers = (0..<8).map { _ in Int.random(in: 0..<users * 2) }
                    let answers = client.lookUp(numbers.map { Array("user\($0)".utf8) })
                    for (number, answer) in zip(numbers, answers) {
                        mine.lookups += 1
                        // Half of the keys are in no version.
                        switch answer {
                        case .found(let value) where number < users:
                            let words = String(decoding: value, as: UTF8.self).split(separator: "@")
                            if words.count == 2, words[0] == "user\(number)" {
                                mine.versions.insert(String(words[1]))
                                continue
                            }
                        case .notFound where number >= users: continue
                        default: break
                        }
                        if mine.wrong.count < 5 { mine.wrong.append("user\(number): \(answer)") }
                    }
                }
            } else {
                mine.wrong.append("no connection")
            }
            seen.withLock {
                $0.lookups += mine.lookups
                $0.versions.formUnion(mine.versions)
                $0.wrong += mine.wrong
            }
        }

        func finish() async throws -> Seen {
            stopping.store(true, ordering: .releasing)
            try await eventually("the end of the load") { running.load(ordering: .acquiring) == 0 }
            return seen.withLock { $0 }
        }
    }

    private func text(_ version: Int) -> String {
        (0..<Self.users).map { "user\($0):user\($0)@v\(version)\n" }.joined()
    }

    /// Replaces the database several times under load, in whatever way.
    private func rebuild(_ kind: FileKind, _ rounds: Int, _ replace: (Int) throws -> Void) async throws {
        #expect(try scratch.run(kind.maker, ["map.db"], input: text(0)).status == 0)
        let provider = try await scratch.startProvider(["-m", "map.db"], of: kind.provider)
        defer { provider.stop() }
        let load = try Load(scratch.file("socket"))
        for round in 1...rounds {
            do {
                try replace(round)
                // What is asked after a rebuild is answered from the new one.
                #expect(try scratch.ask("user7") == .found("user7@v\(round)"))
            } catch {
                _ = try await load.finish()
                throw error
            }
        }
        let seen = try await load.finish()
        #expect(seen.wrong == [])
        #expect(seen.lookups > 0)
        #expect(seen.versions.contains("v\(rounds)"))
        #expect(provider.isRunning)
    }

    @Test(arguments: FileKind.allCases)
    func withOurTool(kind: FileKind) async throws {
        try await rebuild(kind, 5) {
            let outcome = try scratch.run(kind.maker, ["map.db"], input: text($0))
            #expect(outcome == Outcome(status: 0, output: "", errors: ""))
        }
    }

    @Test(arguments: FileKind.allCases)
    func withTheOriginalsInPlace(kind: FileKind) async throws {
        try await rebuild(kind, 5) {
            let outcome = try scratch.run(kind.originalMaker, ["map.db"], input: text($0))
            #expect(outcome == Outcome(status: 0, output: "", errors: ""))
        }
    }

    @Test(arguments: FileKind.allCases)
    func withACopyInPlace(kind: FileKind) async throws {
        try await rebuild(kind, 5) {
            let made = try scratch.run(kind.maker, ["new.db"], input: text($0))
            let copied = try scratch.run("/bin/cp", ["new.db", "map.db"])
            #expect(made.status == 0 && copied.status == 0)
        }
    }

    @Test(arguments: FileKind.allCases)
    func withAMomentWithoutAFile(kind: FileKind) async throws {
        try await rebuild(kind, 5) {
            let made = try scratch.run(kind.maker, ["new.db"], input: text($0))
            let moved = try scratch.run("/bin/sh", ["-c", "rm map.db; mv new.db map.db"])
            #expect(made.status == 0 && moved.status == 0)
        }
    }

    @Test(arguments: FileKind.allCases)
    func whileAWriterWaitsItAnswersFromTheOldOne(kind: FileKind) async throws {
        #expect(try scratch.run(kind.maker, ["map.db"], input: text(0)).status == 0)
        let provider = try await scratch.startProvider(["-m", "map.db"], of: kind.provider)
        defer { provider.stop() }
        #expect(try scratch.ask("user7") == .found("user7@v0"))
        // The original waits for its input with the database empty, and in GDBM's case locked.
        #expect(mkfifo(scratch.file("feed"), 0o600) == 0)
        let feed = open(scratch.file("feed"), O_RDWR)
        defer { close(feed) }
        let writer = try Program(kind.originalMaker, ["map.db"], in: scratch.path, input: scratch.file("feed"))
        defer { writer.stop() }
        try await eventually("the truncation") {
            ((try? FileManager.default.attributesOfItem(atPath: scratch.file("map.db"))[.size] as? Int) ?? nil)
                == kind.emptySize
        }
        #expect(try scratch.ask("user7") == .found("user7@v0"))
        #expect(try scratch.ask("nobody") == .notFound)
        // One that has never seen it whole says that it does not know.
        let query = try scratch.run(kind.provider, ["-m", "map.db", "--query", "user7"])
        #expect(query.status == 75 && query.errors.contains("being rebuilt"))
    }
}
