import CLinux
import Foundation
import Glibc
import Logging
import Testing

@testable import Daemon

/// What a signal that ends a process leaves behind.
@Suite(.timeLimit(.minutes(2))) struct CrashTests {
    /// Known to the process that crashes and to the one that looks: the one is the other's parent.
    private static func path(of process: pid_t) -> String { "/tmp/perdition-crash-test.\(process)" }

    @Test func linesOfAllThreadsAreWritten() async throws {
        let path = Self.path(of: getpid())
        defer { unlink(path) }
        let result = await #expect(
            processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]
        ) {
            linux_crash_prepare("1.2.3")
            let sink = try LogSink(.file(Self.path(of: getppid())), name: "crash")
            Thread.detachNewThread {
                linux_crash_thread()
                LogSink.batchOnThisThread()
                sink.write(.info, "of another thread")
                while true { sleep(1) }
            }
            LogSink.batchOnThisThread()
            sink.write(.info, "of this thread")
            sleep(1)
            kill(getpid(), SIGSEGV)
            while true { sleep(1) }
        }
        let log = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        #expect(log.contains("]: of this thread\n"))
        #expect(log.contains("]: of another thread\n"))
        #expect(log.split(separator: "\n").count == 2)
        let report = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(report.contains("Crash: signal 11 (SIGSEGV"), "\(report)")
        #expect(report.contains("version 1.2.3"), "\(report)")
    }

    @Test func aFullStackIsReported() async throws {
        let result = await #expect(
            processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]
        ) {
            linux_crash_prepare("")
            @inline(never) func deeper(_ depth: Int) -> Int {
                withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { room in
                    room[depth % 4096] = 1
                    return deeper(depth + 1) + Int(room[depth % 7])
                }
            }
            _ = deeper(0)
        }
        let report = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(report.contains("Crash: signal 11 (SIGSEGV"), "\(report)")
        #expect(report.contains("deeper"), "\(report)")
    }

    @Test func theWordsOfTheRuntimeComeFirst() async throws {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            linux_crash_prepare("")
            let empty = [Int](CommandLine.arguments.prefix(0).map(\.count))
            print(empty[0])
        }
        let report = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        let words = try #require(report.range(of: "Index out of range"), "\(report)")
        let signal = try #require(report.range(of: "Crash: signal "), "\(report)")
        #expect(words.lowerBound < signal.lowerBound)
    }
}
