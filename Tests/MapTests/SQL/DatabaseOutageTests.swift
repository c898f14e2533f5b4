import CLinux
import Foundation
import Lookup
import Testing

/// The providers in front of real servers that stop, hang, and come back: one test at a time.
@Suite(.serialized) struct DatabaseOutageTests {
    @Test(arguments: Database.allCases) func aConnectionIsKept(kind: Database) async throws {
        let server = try await kind.restless()
        let before = try #require(Int(server.setup("tally").trimmingCharacters(in: .newlines)))
        let provider = try await DatabaseProvider(kind, server.options, ["--workers", "2"])
        for number in 0..<300 {
            #expect(try provider.ask("user\(number % 100)") == .found("host\(number % 100).example.com:143"))
        }
        #expect(try provider.ask("nobody") == .notFound)
        // PostgreSQL counts with a delay, the administrator's own sessions count as well.
        let after = try #require(Int(server.setup("tally").trimmingCharacters(in: .newlines)))
        #expect(after - before < 10)
    }

    @Test(arguments: Database.allCases) func aServerThatIsAwayIsNeverNotFound(kind: Database) async throws {
        let server = try await kind.restless()
        let provider = try await DatabaseProvider(kind, server.options)
        for end in ["stop", "kill"] {
            #expect(try provider.ask("user1") == .found("host1.example.com:143"))
            #expect(try provider.ask("nobody") == .notFound)
            try server.setup(end)
            for _ in 0..<8 {
                for key in ["user1", "nobody", ""] { #expect(try provider.ask(key).isTemporary) }
            }
            try server.setup("start")
            // The next lookup, and no later one.
            for _ in 0..<8 { #expect(try provider.ask("user1") == .found("host1.example.com:143")) }
            #expect(try provider.ask("nobody") == .notFound)
        }
        #expect(provider.log.contains("lookups fail"))
        #expect(provider.log.contains("lookups work again"))
    }

    @Test(arguments: Database.allCases) func aServerThatIsDownWhenTheProviderStarts(kind: Database) async throws {
        let server = try await kind.restless()
        try server.setup("stop")
        let provider = try await DatabaseProvider(kind, server.options)
        #expect(try provider.ask("user1").isTemporary)
        try server.setup("start")
        #expect(try provider.ask("user1") == .found("host1.example.com:143"))
    }

    @Test(arguments: Database.allCases) func aServerThatHangsIsTemporaryInTime(kind: Database) async throws {
        let server = try await kind.restless()
        let provider = try await DatabaseProvider(kind, server.options, ["--workers", "2"], seconds: 0.5)
        #expect(try provider.ask("user1") == .found("host1.example.com:143"))
        try server.setup("pause")
        for _ in 0..<6 {
            guard case .temporary(let reason) = try provider.ask("user1") else {
                Issue.record("an answer from a server that is stopped")
                break
            }
            #expect(reason.contains("in time"), "\(reason)")
        }
        try server.setup("resume")
        // Half a second can be short for a server that has just woken up; without a restart of ours it is enough.
        for (key, value) in [("user1", Answer.found("host1.example.com:143")), ("nobody", .notFound)] {
            var answers: [Answer] = []
            try await eventually("the server") {
                answers.append((try? provider.ask(key)) ?? .permanent("no provider"))
                return answers.last == value
            }
            #expect(answers.dropLast().allSatisfy { $0.isTemporary })
        }
        // One thread for each worker at most was left behind.
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(provider.program.pid)/task")
        #expect(threads.count <= 3 + 2)
    }

    @Test(arguments: Database.allCases) func theNextHostStandsInAndTheFirstComesBack(kind: Database) async throws {
        let first = try await kind.restless()
        let second = try await kind.restless(.second)
        let options = first.options.replacing(
            "127.0.0.1:\(first.port)",
            with: "127.0.0.1,127.0.0.1:\(first.port),\(second.port)")
        // A host that hangs costs half of the time, once for each worker.
        let provider = try await DatabaseProvider(kind, options, ["--workers", "2"], seconds: 8)
        // Only the second has it.
        #expect(try provider.ask("user150") == .notFound)
        for (end, again) in [("stop", "start"), ("pause", "resume")] {
            try first.setup(end)
            for _ in 0..<4 { #expect(try provider.ask("user150") == .found("host150.example.com:143"), "\(end)") }
            try first.setup(again)
            var answers: Set<String> = []
            try await eventually("the first host") {
                let now = (0..<4).map { _ in (try? provider.ask("user150")) ?? .permanent("no provider") }
                answers.formUnion(now.map(\.description))
                return now.allSatisfy { $0 == .notFound }
            }
            #expect(answers.isSubset(of: ["found host150.example.com:143", "not found"]))
        }
        #expect(provider.log.contains("connected to 127.0.0.1 port \(second.port)"))
        try first.setup("stop")
        try second.setup("stop")
        guard case .temporary(let reason) = try provider.ask("user1") else {
            Issue.record("an answer from nowhere")
            return
        }
        #expect(reason.contains(first.port) && reason.contains(second.port))
    }

    @Test(arguments: Database.allCases) func sessionsThatTheServerEndsAreMadeAnew(kind: Database) async throws {
        let server = try await kind.restless()
        let provider = try await DatabaseProvider(kind, server.options)
        for _ in 0..<10 {
            #expect(try provider.ask("user1") == .found("host1.example.com:143"))
            try server.sql(
                kind == .mysql
                    ? "KILL USER perdition@'127.0.0.1';"
                    : "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'perdition';")
        }
        #expect(!provider.log.contains("lookups fail"))
    }

    @Test(arguments: Database.allCases) func tlsThatIsAskedForIsNotGivenUp(kind: Database) async throws {
        let server = try await kind.restless()
        let file = server.file(kind == .mysql ? "my.cnf" : "data/postgresql.auto.conf")
        var text = try String(contentsOfFile: file, encoding: .utf8)
        text =
            kind == .mysql
            ? text.replacing("ssl-", with: "#ssl-") + "skip-ssl\n" : text.replacing("ssl=on", with: "ssl=off")
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        try server.setup("stop")
        try server.setup("start")
        for (rest, status) in [
            ("tls=prefer", 0), ("tls=off", 0), ("tls=require", 75), ("ca=\(server.file("ca.pem"))", 75),
        ] {
            #expect(try kind.query(server.pairs(rest), "user1").status == status, "\(rest)")
        }
    }
}
