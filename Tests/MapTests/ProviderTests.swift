import CLinux
import Foundation
import Lookup
import Testing

/// perdition-map-gdbm as a program.
struct ProviderTests {
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        try Tool.require(Tool.provider, Tool.makegdbm, Tool.originalMakegdbm, Tool.postmap)
    }

    private func make(_ text: String, with tool: String = Tool.makegdbm, _ name: String = "map.db") throws {
        #expect(try scratch.run(tool, [name], input: text).status == 0)
    }

    private func query(_ key: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
        try scratch.run(Tool.provider, ["--query", key] + arguments, environment: environment)
    }

    @Test func oneQueryOnTheTerminal() throws {
        try make("joe:10.0.0.1:110\n")
        #expect(try query("joe", ["-m", "map.db"]) == Outcome(status: 0, output: "10.0.0.1:110\n", errors: ""))
        #expect(try query("jane", ["-m", "map.db"]) == Outcome(status: 1, output: "", errors: ""))
        #expect(try query("", ["-m", "map.db"]).status == 1)
        try scratch.write("no database", to: "junk")
        for name in ["missing", "junk", "."] {
            let outcome = try query("joe", ["--map_library_opt", name])
            #expect(outcome.status == 75 && outcome.output.isEmpty && outcome.errors.contains(name))
        }
    }

    @Test func theEnvironmentHandsTheOptionsOver() throws {
        try make("joe:10.0.0.1\n")
        #expect(try query("joe", [], environment: ["PERDITION_MAP_LIBRARY_OPT": "map.db"]).output == "10.0.0.1\n")
        let other = try query("joe", ["-m", "other.db"], environment: ["PERDITION_MAP_LIBRARY_OPT": "map.db"])
        #expect(other.status == 75)
        // Without any, or with an empty one, it is the original's file.
        let none = try query("joe", ["-m", ""])
        #expect(none.status != 75 || none.errors.contains("/etc/perdition/popmap.gdbm.db"))
    }

    @Test func theEnvironmentIsWiped() async throws {
        try make("joe:10.0.0.1\n")
        let provider = try await scratch.startProvider(
            [], environment: ["PERDITION_MAP_LIBRARY_OPT": scratch.file("map.db")])
        defer { provider.stop() }
        #expect(try scratch.ask("joe") == .found("10.0.0.1"))
        let environment = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(provider.pid)/environ"))
        #expect(environment.range(of: Data("PATH=".utf8)) != nil)
        #expect(environment.range(of: Data(scratch.file("map.db").utf8)) == nil)
    }

    @Test(arguments: [Tool.makegdbm, Tool.originalMakegdbm])
    func postfixGetsRightAnswers(maker: String) async throws {
        // The last line has no end: the original leaves a NUL behind the value.
        try make("joe:10.0.0.1:110\njane:jane@foo.bar\nlast:host", with: maker)
        let provider = try await scratch.startProvider(["-m", "map.db"])
        defer { provider.stop() }
        func postmap(_ key: String, _ map: String = "popmap") throws -> Outcome {
            try scratch.run(Tool.postmap, ["-q", key, "socketmap:unix:\(scratch.file("socket")):\(map)"])
        }
        #expect(try postmap("joe") == Outcome(status: 0, output: "10.0.0.1:110\n", errors: ""))
        #expect(try postmap("jane").output == "jane@foo.bar\n")
        #expect(try postmap("last").output == "host\n")
        #expect(try postmap("nobody") == Outcome(status: 1, output: "", errors: ""))
        let other = try postmap("joe", "other")
        #expect(other.status != 0 && other.output.isEmpty && other.errors.contains("no map of this name"))
        try scratch.write("no database", to: "map.db")
        let broken = try postmap("joe")
        #expect(broken.status != 0 && broken.output.isEmpty && broken.errors.contains("temporary error"))
        try make("joe:10.0.0.9\n", with: maker)
        #expect(try postmap("joe").output == "10.0.0.9\n")
    }

    @Test func aMissingDatabaseIsNeverNotFound() async throws {
        let provider = try await scratch.startProvider(["-m", "map.db"])
        defer { provider.stop() }
        #expect(try scratch.ask("joe").isTemporary)
        try make("joe:10.0.0.1\n")
        #expect(try scratch.ask("joe") == .found("10.0.0.1"))
        #expect(try scratch.ask("jane") == .notFound)
        #expect(unlink(scratch.file("map.db")) == 0)
        #expect(try scratch.ask("joe").isTemporary)
        #expect(try scratch.ask("jane").isTemporary)
    }

    @Test func truncatedDatabasesAreTemporary() async throws {
        try make((0..<5000).map { "user\($0):10.0.0.1\n" }.joined(), "whole.db")
        let whole = try Data(contentsOf: URL(fileURLWithPath: scratch.file("whole.db")))
        let provider = try await scratch.startProvider(["-m", "map.db"])
        defer { provider.stop() }
        for part in [0, 1, 100, 4095, 4096, 8192, whole.count / 2, whole.count - 20000] {
            try whole.prefix(part).write(to: URL(fileURLWithPath: scratch.file("map.db")))
            #expect(try scratch.ask("user77").isTemporary, "\(part) bytes")
        }
        try whole.write(to: URL(fileURLWithPath: scratch.file("map.db")))
        #expect(try scratch.ask("user77") == .found("10.0.0.1"))
    }

    @Test func itTakesAnInheritedSocketAndItsSuccessorGoesOn() async throws {
        try make("joe:10.0.0.1\n")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "holder.py").path
        let holder = try Program(
            "/usr/bin/env",
            [
                "python3", script, scratch.file("socket"), scratch.file("pids"), Tool.provider, "-m", "map.db", "-F",
                "+",
            ],
            in: scratch.path)
        defer { holder.stop() }
        func pids() -> [Int32] {
            let text = (try? String(contentsOfFile: scratch.file("pids"), encoding: .utf8)) ?? ""
            return text.split(separator: "\n").compactMap { Int32($0) }
        }
        try await eventually("the first provider") { pids().count == 1 }
        #expect(try scratch.ask("joe") == .found("10.0.0.1"))
        for (round, signal) in [SIGKILL, SIGTERM, SIGKILL].enumerated() {
            let pid = try #require(pids().last)
            try await sendEnd(pid, signal)
            // Asked before there is a successor, answered by it.
            #expect(try scratch.ask("joe") == .found("10.0.0.1"))
            try await eventually("a successor") { pids().count == round + 2 }
        }
    }

    @Test func itSaysNoToAForeignListenPid() throws {
        let outcome = try scratch.run(
            Tool.provider, ["-m", "map.db"], environment: ["LISTEN_FDS": "1", "LISTEN_PID": "1"])
        #expect(outcome.status == 64 && outcome.errors.contains("--socket"))
        let junk = try scratch.run(Tool.provider, ["-m", "map.db", "-F", "+"], environment: ["LISTEN_FDS": "9"])
        #expect(junk.status == 78 && junk.errors.contains("LISTEN_FDS"))
    }

    @Test func socketsOfTheDeadAreReplacedAndThoseOfTheLivingAreNot() async throws {
        try make("joe:10.0.0.1\n")
        let first = try await scratch.startProvider(["-m", "map.db"])
        defer { first.stop() }
        var status = stat()
        #expect(stat(scratch.file("socket"), &status) == 0 && status.st_mode & 0o777 == 0o660)
        let second = try scratch.run(Tool.provider, ["-m", "map.db", "--socket", "socket", "-F", "+"])
        #expect(second.status == 78 && second.errors.contains("served by another"))
        first.stop()
        #expect(stat(scratch.file("socket"), &status) == 0)
        let third = try await scratch.startProvider(["-m", "map.db", "--socket_mode", "0666"])
        defer { third.stop() }
        #expect(stat(scratch.file("socket"), &status) == 0 && status.st_mode & 0o777 == 0o666)
        #expect(try scratch.ask("joe") == .found("10.0.0.1"))
        third.signal(SIGTERM)
        #expect(third.wait() == 0)
        #expect(stat(scratch.file("socket"), &status) != 0)
        try scratch.write("a file", to: "socket")
        #expect(try scratch.run(Tool.provider, ["-m", "map.db", "--socket", "socket", "-F", "+"]).status == 78)
    }

    @Test func atTheEndItAnswersWhatWasAsked() async throws {
        try make("joe:10.0.0.1\n")
        let provider = try await scratch.startProvider(["-m", "map.db", "--workers", "1"])
        defer { provider.stop() }
        var clients: [RawClient] = []
        for _ in 0..<20 { clients.append(try #require(RawClient(scratch.file("socket")))) }
        // Stopped, so that all of it lies in the sockets when the end comes.
        try await provider.halt()
        for client in clients { #expect(client.send("10:popmap joe,10:popmap joe,")) }
        provider.signal(SIGTERM)
        provider.signal(SIGCONT)
        for client in clients { #expect(client.receiveAll() == "11:OK 10.0.0.1,11:OK 10.0.0.1,") }
        #expect(provider.wait() == 0)
    }

    @Test func aHangUpOpensTheDatabaseAnew() async throws {
        try make("joe:10.0.0.1\n")
        let provider = try await scratch.startProvider(["-m", "map.db", "-d"])
        defer { provider.stop() }
        #expect(try scratch.ask("joe") == .found("10.0.0.1"))
        for _ in 0..<20 {
            provider.signal(SIGHUP)
            #expect(try scratch.ask("joe") == .found("10.0.0.1"))
        }
        #expect(provider.isRunning)
    }

    @Test func nonsenseEndsOnlyItsOwnConnection() async throws {
        try make("joe:10.0.0.1\n")
        let provider = try await scratch.startProvider(["-m", "map.db"])
        defer { provider.stop() }
        let good = try #require(RawClient(scratch.file("socket")))
        for nonsense in ["GET / HTTP/1.0\r\n\r\n", "\0\0\0", "99999999999:", "5:popmap joe,", ",", "1100:popmap "] {
            let bad = try #require(RawClient(scratch.file("socket")))
            #expect(bad.send("10:popmap joe," + nonsense))
            #expect(bad.receiveAll() == "11:OK 10.0.0.1,", "\(nonsense)")
        }
        #expect(good.send("10:popmap joe,"))
        #expect(good.receive(15) == "11:OK 10.0.0.1,")
    }

    @Test func theMostIdleConnectionMakesRoom() async throws {
        try make("joe:10.0.0.1\n")
        let provider = try await scratch.startProvider(["-m", "map.db", "--connections", "4"])
        defer { provider.stop() }
        var clients: [RawClient] = []
        for _ in 0..<4 {
            clients.append(try #require(RawClient(scratch.file("socket"))))
            #expect(clients.last?.send("10:popmap joe,") == true)
            #expect(clients.last?.receive(15) == "11:OK 10.0.0.1,")
        }
        // The first is used again: the second is now the most idle.
        #expect(clients[0].send("10:popmap joe,") && clients[0].receive(15) == "11:OK 10.0.0.1,")
        let fifth = try #require(RawClient(scratch.file("socket")))
        #expect(fifth.send("10:popmap joe,") && fifth.receive(15) == "11:OK 10.0.0.1,")
        #expect(clients[1].receiveAll() == "")
        for index in [0, 2, 3] {
            #expect(clients[index].send("10:popmap joe,") && clients[index].receive(15) == "11:OK 10.0.0.1,")
        }
    }

    @Test func aReaderThatDoesNotReadCostsLittle() async throws {
        try make("joe:\(String(repeating: "x", count: 8000))\n")
        let provider = try await scratch.startProvider(["-m", "map.db", "--workers", "2"])
        defer { provider.stop() }
        let requests = String(repeating: "10:popmap joe,", count: 1000)
        var greedy: [RawClient] = []
        for _ in 0..<20 {
            let client = try #require(RawClient(scratch.file("socket"), blocking: false))
            // 8 MB of replies are due to each; what does not fit the socket is not sent.
            _ = client.send(requests)
            greedy.append(client)
        }
        #expect(try scratch.ask("joe") == .found(String(repeating: "x", count: 8000)))
        let status = try String(contentsOfFile: "/proc/\(provider.pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        let kilobytes = try #require(line.split(separator: " ").compactMap { Int($0) }.first)
        #expect(kilobytes < 60_000, "160 MB are due to readers who do not read")
    }
}
