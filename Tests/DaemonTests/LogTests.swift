import Foundation
import Logging
import Testing

@testable import Daemon

/// A directory of its own for one test.
final class Scratch {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("daemon-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func bytes(of name: String) -> [UInt8] {
        FileManager.default.contents(atPath: "\(path)/\(name)").map(Array.init) ?? []
    }

    func lines(of name: String) -> [String] {
        String(decoding: bytes(of: name), as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

@Suite struct LogDestinationTests {
    @Test func readsWhatTheOptionCanBe() throws {
        #expect(try LogDestination("-") == .standardOutput)
        #expect(try LogDestination("+") == .standardError)
        #expect(try LogDestination("/var/log/x") == .file("/var/log/x"))
        #expect(try LogDestination("mail") == .syslog(2 << 3))
        #expect(try LogDestination("LOCAL7") == .syslog(23 << 3))
        for text in ["bogus", "", "x/y", "mail "] {
            #expect { try LogDestination(text) } throws: { "\($0)".contains("\"\(text)\" not found") }
        }
    }
}

@Suite struct LogSinkTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    func sink(_ name: String = "log") throws -> LogSink {
        try LogSink(.file("\(scratch.path)/\(name)"), name: "perdition.imap4")
    }

    @Test func writesTheOriginalsLine() throws {
        try sink().write(.info, "Connect:  127.0.0.1:35650->127.0.0.1:143")
        let lines = scratch.lines(of: "log")
        #expect(lines.count == 1)
        let pattern = /[A-Z][a-z]{2} [ 1-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9] perdition\.imap4\[([0-9]+)\]: (.*)/
        let match = try #require(lines[0].wholeMatch(of: pattern))
        #expect(match.1 == "\(getpid())")
        #expect(match.2 == "Connect:  127.0.0.1:35650->127.0.0.1:143")
    }

    @Test(arguments: [
        ("a\nb", #"a\nb"#), ("a\r\tb", #"a\r\tb"#), ("\u{1b}[2J\u{7f}\0", #"\033[2J\177\000"#),
        ("\u{9b}2J", #"\302\2332J"#), ("é€😀\u{a0}", "é€😀\u{a0}"), (#"\n"'%s%n"#, #"\n"'%s%n"#), ("", ""),
    ])
    func showsControlCharacters(text: String, shown: String) throws {
        let sink = try sink()
        sink.write(.info, text)
        sink.write(.info, "next")
        let lines = scratch.lines(of: "log")
        #expect(lines.count == 2)
        #expect(lines[0].hasSuffix("]: " + shown))
    }

    @Test(arguments: ["a", "é", "😀", "\u{1}", "\u{9b}", "\n"])
    func cutsLongLinesBetweenCharacters(character: String) throws {
        let sink = try sink()
        for shift in 0..<8 {
            sink.write(.info, String(repeating: "x", count: shift) + String(repeating: character, count: 5000))
        }
        let bytes = scratch.bytes(of: "log")
        #expect(String(validating: bytes, as: UTF8.self) != nil)
        let lines = bytes.split(separator: 10)
        #expect(lines.count == 8)
        #expect(lines.allSatisfy { (4086...4094).contains($0.count) })
        if character == "\u{1}" {
            #expect(lines.allSatisfy { String(decoding: $0.suffix(4), as: UTF8.self) == #"\001"# })
        }
    }

    /// What is put where it goes is shown like any other text.
    @Test func linesWrittenInPlaceAreShownAsWell() throws {
        let sink = try sink()
        for text in ["plain", "a\u{1b}[31mred\nforged line\r", "straße\u{9b}x", String(repeating: "y", count: 5000)] {
            sink.write(.info) { room in
                let bytes = Array(text.utf8.prefix(room.count))
                _ = room.update(from: bytes)
                return bytes.count
            }
            sink.write(.info, text)
        }
        sink.write(.info) { $0.count + 1000 }
        let lines = scratch.lines(of: "log")
        #expect(lines.count == 9)
        for pair in stride(from: 0, to: 8, by: 2) { #expect(lines[pair] == lines[pair + 1]) }
        #expect(lines[2].hasSuffix("a\\033[31mred\\nforged line\\r"))
        #expect(lines[8].utf8.count < 4095)
    }

    @Test func linesOfManyThreadsStayWhole() async throws {
        let sink = try sink()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask { for _ in 0..<200 { sink.write(.info, String(repeating: "\(number)", count: 500)) } }
            }
        }
        let lines = scratch.lines(of: "log")
        #expect(lines.count == 1600)
        #expect(lines.allSatisfy { line in Set(line.suffix(500)).count == 1 && line.contains("]: ") })
    }

    @Test func reopensAFileThatWasMoved() throws {
        let sink = try sink()
        sink.write(.info, "one")
        try FileManager.default.moveItem(atPath: "\(scratch.path)/log", toPath: "\(scratch.path)/log.1")
        sink.write(.info, "two")
        try sink.reopen()
        sink.write(.info, "three")
        #expect(scratch.lines(of: "log.1").count == 2)
        #expect(scratch.lines(of: "log").count == 1)
    }

    @Test func keepsTheOldFileWhenReopeningFails() throws {
        let sink = try sink()
        try FileManager.default.moveItem(atPath: "\(scratch.path)/log", toPath: "\(scratch.path)/log.1")
        try FileManager.default.createDirectory(atPath: "\(scratch.path)/log", withIntermediateDirectories: false)
        #expect { try sink.reopen() } throws: {
            "\($0)" == "Could not open log file [\(scratch.path)/log]: Is a directory"
        }
        sink.write(.info, "still here")
        #expect(scratch.lines(of: "log.1").count == 1)
    }

    @Test func appendsAndLeavesNoDescriptorBehind() throws {
        let before = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
            .compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
        #expect(!before.contains("\(scratch.path)/log"))
        for _ in 0..<3 {
            let sink = try sink()
            sink.write(.info, "x")
            try sink.reopen()
        }
        #expect(scratch.lines(of: "log").count == 3)
        let after = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
            .compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
        #expect(!after.contains("\(scratch.path)/log"))
    }

    @Test func aMissingDirectoryIsAnError() {
        #expect { try LogSink(.file("\(scratch.path)/none/log"), name: "x") } throws: {
            "\($0)" == "Could not open log file [\(scratch.path)/none/log]: No such file or directory"
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func rootGivesANewFileToItsUser() throws {
        let path = "\(scratch.path)/log"
        let identity = try Identity(user: "12345", group: "23456")
        _ = try LogSink(.file(path), name: "x", owner: identity)
        var attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.ownerAccountID] as? Int == 12345)
        #expect(attributes[.groupOwnerAccountID] as? Int == 23456)
        #expect((attributes[.posixPermissions] as? Int).map { $0 & 0o137 } == 0)
        _ = try LogSink(.file(path), name: "x", owner: try Identity(user: "1", group: "1"))
        attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.ownerAccountID] as? Int == 12345)
    }

    @Test func levelsDecideWhatIsWritten() throws {
        let sink = try sink()
        for (quiet, debug) in [(false, false), (true, false), (false, true), (true, true)] {
            let logger = sink.logger(level: LogSink.level(quiet: quiet, debug: debug))
            for level in Logger.Level.allCases { logger.log(level: level, "\(quiet) \(debug) \(level)") }
        }
        let texts = scratch.lines(of: "log").map { $0.components(separatedBy: "]: ")[1] }
        let graver = ["error", "critical"]
        let normal = ["info", "notice", "warning"] + graver
        #expect(
            texts == normal.map { "false false \($0)" } + graver.map { "true false \($0)" }
                + (["debug"] + normal).map { "false true \($0)" } + (["debug"] + normal).map { "true true \($0)" })
    }

    @Test func metadataStandsBehindTheMessage() throws {
        var logger = try sink().logger(level: .info)
        logger[metadataKey: "map"] = "popmap"
        logger.info("Lookup failed", metadata: ["key": "jo\ne"])
        #expect(scratch.lines(of: "log")[0].hasSuffix("]: Lookup failed key=jo\\ne map=popmap"))
    }
}

@Suite struct LogClockTests {
    @Test func showsTheDayOfTheMonthWithABlank() {
        var clock = LogClock()
        var parts = tm()
        parts.tm_year = 124
        parts.tm_mon = 1
        parts.tm_mday = 9
        parts.tm_hour = 4
        parts.tm_min = 5
        parts.tm_sec = 6
        parts.tm_isdst = -1
        let time = mktime(&parts)
        #expect(String(decoding: clock.text(at: time), as: UTF8.self) == "Feb  9 04:05:06")
        #expect(String(decoding: clock.text(at: time + 1), as: UTF8.self) == "Feb  9 04:05:07")
        #expect(String(decoding: clock.text(at: time + 86400), as: UTF8.self) == "Feb 10 04:05:06")
        #expect(String(decoding: clock.text(at: time), as: UTF8.self) == "Feb  9 04:05:06")
    }
}
