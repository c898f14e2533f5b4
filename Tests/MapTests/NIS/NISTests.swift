import CLinux
import Foundation
import Lookup
import Testing

@testable import MapNIS

/// perdition-map-nis against a real server, in a network of its own that `setup` makes.
@Suite(.serialized)
struct NISTests {
    private let scratch: Scratch
    private static let provider = "\(Tool.products)/perdition-map-nis"
    private static let setup = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "setup").path

    init() throws {
        scratch = try Scratch()
        try Tool.require(
            Self.provider, "/usr/sbin/ypserv", "/usr/sbin/ypbind", "/usr/sbin/rpcbind", "/usr/lib/yp/makedbm")
    }

    /// A server with its client, that goes with the test.
    private final class House {
        private let scratch: Scratch

        init(_ scratch: Scratch, users: Int = 1000, extra: [UInt8] = []) throws {
            self.scratch = scratch
            try FileManager.default.createDirectory(atPath: scratch.file("nis"), withIntermediateDirectories: true)
            try Data(extra).write(to: URL(fileURLWithPath: scratch.file("nis/extra")))
            let outcome = try scratch.run(
                setup, ["start", scratch.file("nis"), "\(users)"], environment: ["SETUP_OWNER": "\(getpid())"])
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output == "user_mail_server\n")
        }

        func become(_ state: String) throws {
            let outcome = try scratch.run(setup, [state, scratch.file("nis")])
            try #require(outcome.status == 0, "\(outcome.errors)")
        }

        func run(_ arguments: [String]) throws -> Outcome {
            try scratch.run(setup, ["run", scratch.file("nis")] + arguments)
        }

        func serve(_ arguments: [String] = []) async throws -> Program {
            let program = try Program(
                setup,
                ["run", scratch.file("nis"), provider, "--socket", scratch.file("socket"), "-F", "+"] + arguments,
                in: scratch.path)
            try await eventually("the provider") { BlockingClient(path: scratch.file("socket")) != nil }
            return program
        }

        deinit { _ = try? scratch.run(setup, ["stop", scratch.file("nis")]) }
    }

    // MARK: - Values

    @Test func theOptionsStringIsTheMapsName() throws {
        #expect(try NISPopmap.configuration("", patience: 1).map == "user_mail_server")
        #expect(try NISPopmap.configuration("mail.byuser", patience: 7).map == "mail.byuser")
        #expect(try NISPopmap.configuration("mail.byuser", patience: 7).patience == 7)
        #expect(try NISPopmap.configuration(String(repeating: "m", count: 64), patience: 1).map.count == 64)
        #expect(throws: (any Error).self) {
            try NISPopmap.configuration(String(repeating: "m", count: 65), patience: 1)
        }
    }

    @Test func keysOfTheServerAreNobodys() throws {
        let map = NISPopmap(try NISPopmap.configuration("", patience: 1))
        for key in ["", "YP_", "YP_LAST_MODIFIED", "YP_MASTER_NAME"] {
            #expect(map.lookup(Array(key.utf8)) == .notFound)
        }
    }

    // MARK: - Outcomes

    @Test func threeOutcomes() throws {
        let house = try House(scratch)
        let found = try house.run([Self.provider, "--query", "user7"])
        #expect(found == Outcome(status: 0, output: "user7@host7.example.com:143\n", errors: ""))
        #expect(try house.run([Self.provider, "--query", "nobody"]) == Outcome(status: 1, output: "", errors: ""))
        // A map that is missing may be on its way.
        let missing = try house.run([Self.provider, "-m", "other_map", "--query", "user7"])
        #expect(missing.status == 75 && missing.output.isEmpty)
        #expect(missing.errors == "there is no map other_map in the NIS domain perdition.test\n")
        let long = try house.run([Self.provider, "-m", String(repeating: "m", count: 65), "--query", "user7"])
        #expect(long.status == 78)
    }

    @Test func aServerThatIsAwayIsTemporary() async throws {
        let house = try House(scratch)
        let provider = try await house.serve(["--workers", "2"])
        defer { provider.stop() }
        for _ in 0..<3 {
            #expect(try scratch.ask("user7") == .found("user7@host7.example.com:143"))
            try house.become("pause")
            for key in ["user7", "user8", "nobody"] { #expect(try scratch.ask(key).isTemporary) }
            try house.become("resume")
            try await eventually("an answer") { (try? scratch.ask("user7")) == .found("user7@host7.example.com:143") }
            #expect(try scratch.ask("nobody") == .notFound)
        }
        #expect(provider.isRunning)
    }

    @Test func aServerThatSaysNothingIsTemporaryInTime() async throws {
        let house = try House(scratch)
        let provider = try await house.serve(["--workers", "2"])
        defer { provider.stop() }
        #expect(try scratch.ask("user7") == .found("user7@host7.example.com:143"))
        try house.become("freeze")
        // A client that waits for two and a half times the two seconds of a lookup; the library would wait for 40.
        for key in ["user7", "nobody"] {
            guard case .temporary(let reason) = try scratch.ask(key) else {
                Issue.record("an answer from nowhere")
                return
            }
            #expect(reason.contains("2000 ms"))
        }
        try house.become("resume")
        try await eventually("an answer") { (try? scratch.ask("user7")) == .found("user7@host7.example.com:143") }
        #expect(try scratch.ask("nobody") == .notFound)
    }

    @Test func withoutADomainItIsTemporary() throws {
        let outcome = try scratch.run(
            "/usr/bin/unshare", ["--uts", "sh", "-c", "domainname '(none)'; exec \(Self.provider) --query joe"])
        #expect(outcome.status == 75 && outcome.errors.contains("NIS domain"))
    }

    // MARK: - Beside the original

    /// Keys for which the answers differ, and why.
    private static let differs = [
        "YP_LAST_MODIFIED": "the server's own key leads to a number, which is an address to connect to",
        "YP_MASTER_NAME": "the server's own key leads to the server",
    ]

    @Test func itAnswersAsTheOriginalDoes() async throws {
        // A line of makedbm is key, blank, value, so some keys cannot be had; half of the others are in the map.
        var extra: [UInt8] = []
        for key in Original.keys where key.count % 3 != 0 {
            guard !key.isEmpty, !key.contains(where: { $0 <= 0x20 || $0 == 0x5c || $0 == 0x23 }) else { continue }
            if key.starts(with: "user".utf8) || key.starts(with: "YP_".utf8) { continue }
            extra += key + Array(" h\(key.count):143\n".utf8)
        }
        let house = try House(scratch, extra: extra)
        let way = [Self.setup, "run", scratch.file("nis")]
        let theirs = try #require(
            try Original.ask(
                "nis", nil, Original.keys, in: scratch, through: way))
        let provider = try await house.serve()
        defer { provider.stop() }
        guard var client = BlockingClient(path: scratch.file("socket"), seconds: 30) else {
            throw POSIXError(.ECONNREFUSED)
        }
        #expect(theirs.count > 180 && theirs.filter { $0 == .notFound }.count > 40)
        #expect(theirs.filter { if case .found = $0 { true } else { false } }.count > 120)
        for (key, reply) in zip(Original.keys, theirs) {
            let ours = client.lookUp(key)
            if Self.differs[String(decoding: key, as: UTF8.self)] != nil {
                #expect(!ours.agrees(with: reply), "\(key)")
            } else {
                #expect(ours.agrees(with: reply), "\(key.prefix(20)): ours \(ours), theirs \(reply)")
            }
        }
        // The original cannot tell a server that is away from a user that is not there.
        try house.become("pause")
        let away = try Original.ask("nis", nil, [Array("user7".utf8)], in: scratch, through: way)
        #expect(away == [.notFound])
        #expect(try scratch.ask("user7").isTemporary)
    }

    @Test func aHundredThousandUsers() async throws {
        let house = try House(scratch, users: 100_000)
        let provider = try await house.serve()
        defer { provider.stop() }
        guard var client = BlockingClient(path: scratch.file("socket"), seconds: 60) else {
            throw POSIXError(.ECONNREFUSED)
        }
        for _ in 0..<40 {
            let numbers = (0..<25).map { _ in Int.random(in: 0..<200_000) }
            let answers = client.lookUp(numbers.map { Array("user\($0)".utf8) })
            let right = numbers.map {
                $0 < 100_000 ? Answer.found("user\($0)@host\($0 % 10).example.com:143") : .notFound
            }
            #expect(answers == right)
        }
    }
}
