import Foundation
import Glibc
import Testing

/// What a login and an idle session cost the worker: counted, so that the numbers are the same on any machine.
@Suite(.staged) struct BudgetTests {
    @Test(arguments: Flavour.allCases) func allocationsPerLogin(_ flavour: Flavour) throws {
        let allocations = try Allocations()
        let server = try FakeServer.mail(flavour, users: nil)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let perdition = try Perdition(
            flavour, popmap: popmap, ["--threads", "1"], environment: allocations.environment)
        try logInAndOut(perdition, 50, times: 50)
        let worker = try perdition.worker
        let before = try allocations.counts(of: worker)
        let count = 300
        try logInAndOut(perdition, count, times: 50 + count)
        let after = try allocations.counts(of: worker)
        let calls = Double(after.calls - before.calls) / Double(count)
        let bytes = Double(after.bytes - before.bytes) / Double(count)
        #expect(calls > 10, "something was counted")
        #expect(calls <= Budgets.allocationsPerLogin(flavour))
        #expect(bytes <= Budgets.bytesAllocatedPerLogin)
        // Nothing of a session is left when it is over.
        #expect(Double(after.live - before.live) / Double(count) < 64)
        print("\(flavour): \(calls) allocations with \(bytes) bytes per login")
    }

    /// One login at a time, so that nothing shares a call with its neighbours.
    @Test(arguments: Flavour.allCases, [true, false])
    func systemCallsPerLogin(_ flavour: Flavour, wantsRing: Bool) throws {
        let server = try FakeServer.mail(flavour, users: nil)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let perdition = try Perdition(
            flavour, popmap: popmap, ["--threads", "1"] + (wantsRing ? [] : ["--no_io_uring"]))
        try logInAndOut(perdition, 50, times: 50)
        let worker = try perdition.worker
        let waitsBefore = try waits(of: worker)
        let count = 200
        try logInAndOut(perdition, count, times: 50 + count)
        let waited = try Double(waits(of: worker) - waitsBefore) / Double(count)
        #expect(waited > 1, "something was counted")
        #expect(waited <= Budgets.waitsPerLogin(flavour))

        let directory = try TemporaryDirectory()
        let strace = try ChildProcess(
            Programs.debian("strace"),
            ["-f", "-c", "-U", "name,calls", "-o", directory.file("calls"), "-p", "\(worker.pid)"],
            log: directory.file("strace.log"))
        _ = try strace.logLine { $0.contains("attached") }
        try logInAndOut(perdition, count, times: 50 + 2 * count)
        strace.signal(SIGINT)
        _ = try strace.exitStatus()
        let table = try String(contentsOfFile: directory.file("calls"), encoding: .utf8)
        var calls: [String: Double] = [:]
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, let number = Int(words[1]), words[0] != "total" else { continue }
            calls[String(words[0])] = Double(number) / Double(count)
        }
        let hasRing = wantsRing && !perdition.process.logLines.contains { $0.contains("io_uring is not to be had") }
        let waiting = calls.removeValue(forKey: hasRing ? "io_uring_enter" : "epoll_wait") ?? 0
        let sum = calls.values.reduce(0, +)
        #expect(waiting >= 1 && sum > 10, "something was counted: \(table)")
        #expect(sum <= Budgets.systemCallsPerLogin(flavour, usesRing: hasRing), "\(calls)")
        print("\(flavour): \(sum) system calls and \(waited) waits per login: \(calls)")
    }

    @Test func memoryPerIdleTLSSession() throws {
        let allocations = try Allocations()
        let crowd = try Crowd()
        let authority = try Authority()
        let leaf = try authority.issue("localhost")
        let options = [
            "--outgoing_server", "127.0.0.1:\(crowd.port)", "--threads", "1", "--ssl_mode", "ssl_listen",
            "--ssl_cert_file", leaf.certificate, "--ssl_key_file", leaf.key,
        ]
        let perdition = try Perdition(.imap4, options, environment: allocations.environment)
        try crowd.grow(by: 50, through: perdition.port, secure: true)
        let worker = try perdition.worker
        let (before, privateBefore) = (try allocations.counts(of: worker), try privateBytes(of: worker))
        // So many that what the worker needs for other things in the meantime hardly counts.
        let count = 1000
        try crowd.grow(by: count, through: perdition.port, secure: true)
        let (after, privateAfter) = (try allocations.counts(of: worker), try privateBytes(of: worker))
        let heap = Double(after.live - before.live) / Double(count)
        let memory = Double(privateAfter - privateBefore) / Double(count)
        #expect(heap > 5000, "something was counted")
        #expect(heap <= Budgets.heapPerIdleTLSSession)
        #expect(memory <= Budgets.privateMemoryPerIdleTLSSession)
        print("\(heap) bytes of heap, \(memory) bytes of private memory per idle TLS session")
        withExtendedLifetime((crowd, authority)) {}
    }

    @Test func memoryPerIdleSession() throws {
        let allocations = try Allocations()
        let crowd = try Crowd()
        let perdition = try Perdition(
            .imap4, ["--outgoing_server", "127.0.0.1:\(crowd.port)", "--threads", "1"],
            environment: allocations.environment)
        // What the first logins leave behind is no part of a session.
        try crowd.grow(by: 50, through: perdition.port)
        crowd.leave()
        try waitForEnds(perdition, 50)
        let worker = try perdition.worker
        let (before, privateBefore) = (try allocations.counts(of: worker), try privateBytes(of: worker))
        let count = 2000
        try crowd.grow(by: count, through: perdition.port)
        let (after, privateAfter) = (try allocations.counts(of: worker), try privateBytes(of: worker))
        let heap = Double(after.live - before.live) / Double(count)
        let memory = Double(privateAfter - privateBefore) / Double(count)
        #expect(heap > 100, "something was counted")
        #expect(heap <= Budgets.heapPerIdleSession)
        #expect(memory <= Budgets.privateMemoryPerIdleSession)
        print("\(heap) bytes of heap, \(memory) bytes of private memory per idle session")
        crowd.leave()
        try waitForEnds(perdition, 50 + count)
        let left = try allocations.counts(of: worker).live - before.live
        // Tables keep the size they once had.
        #expect(Double(left) / Double(count) < 160)
        withExtendedLifetime(crowd) {}
    }

    private func logInAndOut(_ perdition: Perdition, _ count: Int, times: Int) throws {
        for _ in 0..<count {
            let client = try MailClient(perdition.port)
            #expect(try client.logIn(perdition.flavour) == perdition.flavour.success)
            try client.send(perdition.flavour == .imap4 ? "b LOGOUT\r\n" : "QUIT\r\n")
            _ = try client.rest()
        }
        try waitForEnds(perdition, times)
    }

    private func waitForEnds(_ perdition: Perdition, _ count: Int) throws {
        try eventually("the end of \(count) sessions", within: 60) {
            perdition.process.logLines.count { $0.contains(": Closing session: ") } >= count
        }
    }

    /// How often the threads of a process have gone to sleep so far.
    private func waits(of process: ProcessEntry) throws -> Int {
        let tasks = "/proc/\(process.pid)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).reduce(0) { sum, task in
            let status = try String(contentsOfFile: "\(tasks)/\(task)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") }
            guard let number = line?.split(separator: "\t").last.flatMap({ Int($0) }) else {
                throw Failure("no voluntary_ctxt_switches in /proc/\(process.pid)/task/\(task)/status")
            }
            return sum + number
        }
    }

    private func privateBytes(of process: ProcessEntry) throws -> Int {
        guard let bytes = FileManager.default.contents(atPath: "/proc/\(process.pid)/smaps_rollup") else {
            throw Failure("/proc/\(process.pid)/smaps_rollup cannot be read")
        }
        // What is clean is the program itself, and private or shared as others come and go that run it.
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first {
            $0.hasPrefix("Private_Dirty:")
        }
        let words = line.map { $0.split(separator: " ") } ?? []
        guard words.count == 3, let kib = Int(words[1]) else { throw Failure("no Private_Dirty in smaps_rollup") }
        return kib * 1024
    }
}
