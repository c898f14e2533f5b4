import CLinux
import Foundation
import Lookup
import Loop
import Testing

/// A directory that goes with the test.
final class Scratch: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/map.XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
    }
}

/// The programs this package builds, and those of Debian they are compared with.
enum Tool {
    static let products = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .path
    static let provider = "\(products)/perdition-map-gdbm"
    static let makegdbm = "\(products)/makegdbm"
    static let originalMakegdbm = "/usr/bin/makegdbm"
    static let originalLibrary = "/usr/lib/x86_64-linux-gnu/libperditiondb_gdbm.so.0"
    static let postmap = "/usr/sbin/postmap"

    /// Fails the test where a program is missing: nothing is skipped in silence.
    static func require(_ paths: String...) throws {
        for path in paths { try #require(access(path, R_OK) == 0, "\(path) is missing; 'make deps' installs it") }
    }
}

/// The kinds of database files there are providers for.
enum FileKind: CaseIterable {
    case gdbm
    case bdb

    var provider: String { "\(Tool.products)/perdition-map-\(self)" }
    var maker: String { "\(Tool.products)/make\(self)" }
    var originalMaker: String { "/usr/bin/make\(self)" }
    /// Bytes of a file that the original's tool has just made.
    var emptySize: Int { self == .gdbm ? 16384 : 12288 }
}

/// A program that goes with the test.
final class Program: @unchecked Sendable {
    private let process = Process()

    init(
        _ path: String, _ arguments: [String], in directory: String, environment: [String: String] = [:],
        input: String? = nil, output: FileHandle? = nil, errors: FileHandle? = nil
    ) throws {
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        var variables = ProcessInfo.processInfo.environment
        variables["PATH"] = "\(Tool.products):/usr/sbin:\(variables["PATH"] ?? "/usr/bin:/bin")"
        process.environment = variables.merging(environment) { $1 }
        process.standardInput =
            try input.map { try FileHandle(forReadingFrom: URL(fileURLWithPath: $0)) } ?? .nullDevice
        if let output { process.standardOutput = output }
        if let errors { process.standardError = errors }
        try process.run()
    }

    var pid: Int32 { process.processIdentifier }

    var isRunning: Bool { process.isRunning }

    /// Waits for the end and tells the exit status; the signal's negative number where one ended it.
    func wait() -> Int32 {
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Stops it for now (SIGSTOP); when this returns it does nothing any more.
    func halt() async throws { try await sendStop(pid) }

    func stop() {
        guard process.isRunning else { return }
        kill(pid, SIGKILL)
        process.waitUntilExit()
    }

    deinit { stop() }
}

/// Stops a process, and waits until it stands still: each of its threads goes on until it hears of the signal.
func sendStop(_ pid: Int32) async throws {
    kill(pid, SIGSTOP)
    try await eventually("process \(pid) stands still") {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return tasks.allSatisfy { task in
            let state = try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/stat", encoding: .utf8)
            return state?.contains(") T ") ?? true
        }
    }
}

/// Ends a process with a signal, and waits until it has ended, whether or not its parent has heard of it.
func sendEnd(_ pid: Int32, _ signal: Int32 = SIGKILL) async throws {
    kill(pid, signal)
    try await eventually("process \(pid) ends") {
        guard let state = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
        return state.contains(") Z ") || state.contains(") X ")
    }
}

/// What a program that has ended left behind.
struct Outcome: Equatable {
    var status: Int32
    var output: String
    var errors: String
}

extension Scratch {
    /// Runs a program in the directory to its end. Text goes in, and comes out, by files: no pipe can fill up.
    func run(
        _ path: String, _ arguments: [String], input: String = "", environment: [String: String] = [:]
    ) throws -> Outcome {
        let name = UUID().uuidString
        try write(input, to: "\(name).in")
        try write("", to: "\(name).out")
        try write("", to: "\(name).err")
        defer { for kind in ["in", "out", "err"] { unlink(file("\(name).\(kind)")) } }
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: file("\(name).out")))
        let errors = try FileHandle(forWritingTo: URL(fileURLWithPath: file("\(name).err")))
        let program = try Program(
            path, arguments, in: self.path, environment: environment, input: file("\(name).in"), output: output,
            errors: errors)
        let status = program.wait()
        func text(_ kind: String) throws -> String {
            String(decoding: try Data(contentsOf: URL(fileURLWithPath: file("\(name).\(kind)"))), as: UTF8.self)
        }
        return Outcome(status: status, output: try text("out"), errors: try text("err"))
    }

    /// Starts a provider on `socket` in the directory and waits until it serves.
    func startProvider(
        _ arguments: [String], of program: String = Tool.provider, environment: [String: String] = [:]
    ) async throws -> Program {
        let program = try Program(
            program, ["--socket", "socket", "-F", "+"] + arguments, in: path, environment: environment)
        try await eventually("the provider") { BlockingClient(path: file("socket")) != nil }
        return program
    }

    /// One answer from the provider on `socket`.
    func ask(_ key: String) throws -> Answer {
        guard var client = BlockingClient(path: file("socket")) else { throw POSIXError(.ECONNREFUSED) }
        return client.lookUp(Array(key.utf8))
    }
}

extension Answer {
    static func found(_ text: String) -> Answer { .found(Array(text.utf8)) }

    var isTemporary: Bool {
        if case .temporary = self { true } else { false }
    }
}

/// Waits, without a fixed pause, for something that comes soon.
func eventually(_ what: String, _ condition: () -> Bool) async throws {
    for _ in 0..<12_000 {
        if condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    throw Late(what: what)
}

/// Something did not come.
struct Late: Error {
    let what: String
}

/// Runs the body on an event loop of its own.
func onLoop<Value: Sendable>(_ body: @escaping @Sendable (isolated Loop) async throws -> Value) async throws -> Value {
    let thread = try LoopThread()
    try thread.start(name: "test loop")
    defer { thread.stop() }
    let loop = Loop(thread)
    return try await withCheckedThrowingContinuation { continuation in
        loop.start { loop in
            do {
                continuation.resume(returning: try await body(loop))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}
