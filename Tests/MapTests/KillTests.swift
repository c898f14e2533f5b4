import CLinux
import Foundation
import Lookup
import Loop
import Synchronization
import Testing

/// `kill -9` of the provider under load: lookups come late, none goes wrong.
struct KillTests {
    @Test func aKilledProviderCostsNoLookup() async throws {
        let scratch = try Scratch()
        try Tool.require(Tool.provider, Tool.makegdbm)
        let text = (0..<1000).map { "user\($0):host\($0)\n" }.joined()
        #expect(try scratch.run(Tool.makegdbm, ["map.db"], input: text).status == 0)
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "holder.py").path
        let holder = try Program(
            "/usr/bin/env",
            [
                "python3", script, scratch.file("socket"), scratch.file("pids"), Tool.provider, "-m", "map.db", "-F",
                "+",
            ],
            in: scratch.path)
        defer { holder.stop() }
        try await eventually("the holder") { RawClient(scratch.file("socket")) != nil }

        let answered = Atomic<Int>(0)
        let stopping = Atomic<Bool>(false)
        let wrong = Mutex<[String]>([])
        let sessions = Atomic<Int>(20)
        let thread = try LoopThread()
        try thread.start(name: "test loop")
        defer { thread.stop() }
        let loop = Loop(thread)
        let path = scratch.file("socket")
        loop.start { loop in
            // It stays on this loop, which the compiler cannot see.
            nonisolated(unsafe) let client = Client(path: path, deadline: 30_000, on: loop.thread)
            for session in 0..<20 {
                loop.start { _ in
                    var number = session
                    while !stopping.load(ordering: .relaxed) {
                        number = (number + 37) % 2000
                        let answer = await client.lookUp(Array("user\(number)".utf8))
                        answered.add(1, ordering: .relaxed)
                        let right = number < 1000 ? Answer.found("host\(number)") : .notFound
                        if answer != right { wrong.withLock { $0.append("user\(number): \(answer)") } }
                    }
                    if sessions.subtract(1, ordering: .relaxed).newValue == 0 { client.close() }
                }
            }
        }
        defer { stopping.store(true, ordering: .relaxed) }
        func pids() -> [Int32] {
            let text = (try? String(contentsOfFile: scratch.file("pids"), encoding: .utf8)) ?? ""
            return text.split(separator: "\n").compactMap { Int32($0) }
        }
        for kills in 1...15 {
            let before = answered.load(ordering: .relaxed)
            try await eventually("answers") { answered.load(ordering: .relaxed) >= before + 200 }
            kill(try #require(pids().last), SIGKILL)
            try await eventually("a successor") { pids().count > kills }
        }
        let before = answered.load(ordering: .relaxed)
        try await eventually("answers after all that") { answered.load(ordering: .relaxed) >= before + 200 }
        stopping.store(true, ordering: .relaxed)
        try await eventually("the end of all sessions") { sessions.load(ordering: .relaxed) == 0 }
        #expect(wrong.withLock { $0.prefix(5) } == [])
    }
}
