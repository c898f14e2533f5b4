import CLinux
import Daemon
import Foundation
import Glibc
import Loop
import Testing

@testable import Proxy

/// What a reload keeps, and what it sees as changed.
struct ReloadTests {
    @Test func whatWasReadIsReadAgainFromTheSnapshot() throws {
        let recorder = ConfigurationRecorder()
        let disk = OptionFiles { path in path == "/c.conf" ? .bytes(Array("timeout 7\n".utf8)) : .absent }
        let arguments = ["perdition.imap4", "-f", "/c.conf", "-q"]
        guard
            case .serve(let first, _) = try Options.parse(
                arguments: arguments, directory: "/", files: recorder.watching(disk))
        else { return #expect(Bool(false)) }
        #expect(recorder.snapshot == ConfigurationSnapshot(path: "/c.conf", bytes: Array("timeout 7\n".utf8)))
        let snapshot = ConfigurationSnapshot(recorder.snapshot.packed)
        guard
            case .serve(let second, _) = try Options.parse(
                arguments: arguments, directory: "/", files: snapshot.files)
        else { return #expect(Bool(false)) }
        #expect(first == second)
        #expect(second.timeout == 7)
    }

    @Test func withoutAFileThereIsNoneLater() throws {
        let recorder = ConfigurationRecorder()
        _ = try Options.parse(
            arguments: ["perdition"], directory: "/", files: recorder.watching(OptionFiles { _ in .absent }))
        let snapshot = ConfigurationSnapshot(recorder.snapshot.packed)
        #expect(snapshot == ConfigurationSnapshot())
        if case .absent = snapshot.files.read("/etc/perdition/perdition.conf") {} else { #expect(Bool(false)) }
    }

    @Test func changedOptionsAreNamedAndNotShown() throws {
        let old = try parseOptions(["-m", "secret=1"], file: "timeout 5\nno_lookup\n")
        #expect(Plan.changes(from: old, to: old) == [])
        let new = try parseOptions(["-m", "secret=2"], file: "timeout 6\ncapability x\n")
        #expect(
            Set(Plan.changes(from: old, to: new)) == [
                "timeout", "no_lookup", "map_library_opt", "imap_capability", "pop_capability",
                "managesieve_capability",
            ])
    }

    @Test(arguments: [Takeover.Order.check(3), .take(77)]) func ordersToMastersArrive(_ order: Takeover.Order) {
        let text = order.environment.dropFirst("\(Takeover.variable)=".count)
        #expect(Takeover.Order(String(text)) == order)
    }

    @Test(arguments: ["", "take", "take x", "take 2", "take -1", "give 3", "take 3 4"])
    func refusesOrdersThatAreNone(text: String) {
        #expect(Takeover.Order(text) == nil)
    }

    // MARK: Sockets

    private func options(_ places: String...) throws -> Options {
        try parseOptions(["-b", places.joined(separator: ","), "-l", "0"])
    }

    @Test func socketsThatAreWantedAgainStay() throws {
        let first = try Listening.open(options("127.0.0.1")).descriptors
        defer { first.forEach { close($0) } }
        let port = SocketAddress.of(first[0], peer: false).port
        let second = try Listening.open(
            options("127.0.0.1:\(port)", "127.0.0.2:\(port)", "[::1]:\(port)"), keeping: first
        ).descriptors
        defer { second.dropFirst().forEach { close($0) } }
        #expect(second.count == 3)
        #expect(second[0] == first[0], "the one that was open")
        #expect(Set(second).count == 3)
    }

    @Test func oneThatCannotBeOpenedLeavesAllAsItWas() throws {
        let first = try Listening.open(options("127.0.0.1")).descriptors
        let other = try Listening.open(options("127.0.0.3")).descriptors
        defer { (first + other).forEach { close($0) } }
        let port = SocketAddress.of(first[0], peer: false).port
        let taken = SocketAddress.of(other[0], peer: false).port
        let wanted = try options("127.0.0.1:\(port)", "127.0.0.2:\(port)", "127.0.0.3:\(taken)")
        let failure = #expect(throws: Listening.Failure.self) { try Listening.open(wanted, keeping: first) }
        #expect(failure?.description.contains("--bind_address 127.0.0.3:\(taken)") == true)
        #expect(linux_fcntl(first[0], F_GETFD, 0) >= 0, "what was there is open")
        // What was opened on the way is closed.
        let again = try Listening.open(options("127.0.0.2:\(port)")).descriptors
        again.forEach { close($0) }
    }

    @Test func theSocketForBothFamiliesIsNotThatOfOne() throws {
        let both = try Listening.open(parseOptions(["-l", "0"])).descriptors
        defer { both.forEach { close($0) } }
        let port = SocketAddress.of(both[0], peer: false).port
        #expect(try Listening.open(parseOptions(["-l", "\(port)"]), keeping: both).descriptors == both)
        #expect(throws: Listening.Failure.self) {
            try Listening.open(options("127.0.0.1:\(port)"), keeping: both)
        }
    }

    // MARK: Programs

    @Test func aProgramServesOnAsLongAsItAndItsOrdersAreTheSame() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("map")
        try Data("one".utf8).write(to: file)
        let socket = ServiceSocket(path: "/s/popmap", directory: "/s", listener: 99)
        var program = ChildProcess.Program(path: file.path, arguments: ["map", "-d"])
        program.environment = ["PERDITION_MAP_LIBRARY_OPT=x"]
        let attendant = Attendant("map", program, on: socket, errors: nil)
        #expect(attendant.suits(program))
        let over = try #require(Attendant(attendant.packed))
        #expect(over.suits(program))
        #expect(over.socket.path == socket.path && over.socket.listener == 99)
        var other = program
        other.environment = ["PERDITION_MAP_LIBRARY_OPT=y"]
        #expect(!over.suits(other))
        other = program
        other.arguments = ["map"]
        #expect(!over.suits(other))
        over.endingSince = 1
        #expect(!over.suits(program), "one that was told to end")
        try Data("two".utf8).write(to: file)
        #expect(!attendant.suits(program), "the file is another one")
    }

    @Test func aChargeIsTheSameAfterwards() {
        let errors = ErrorPipe(reading: 88, writing: 89)
        let program = { ChildProcess.Program(path: "/bin/true", arguments: []) }
        let charge = Charge(name: "map", errors: errors, program: program)
        _ = charge.restart(after: 0, now: 1000)
        let over = Charge(charge.packed, program: program)
        #expect(over.name == "map")
        #expect(over.pid == nil)
        #expect(over.due == 1000)
        #expect(over.descriptors == [88, 89])
        // What it had used up is used up.
        #expect(
            (0..<6).map { _ in charge.restart(after: 0, now: 0) } == (0..<6).map { _ in over.restart(after: 0, now: 0) }
        )
    }
}
