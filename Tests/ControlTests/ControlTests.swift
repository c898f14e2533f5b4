import Testing

@testable import Control

/// What goes over the control socket.
@Suite struct ControlTests {
    private func fault(_ line: String) -> String? {
        do throws(ControlCommand.Fault) {
            _ = try ControlCommand(line: Array(line.utf8))
            return nil
        } catch {
            return error.description
        }
    }

    @Test(
        arguments: [
            .who, .stats, .purge, .reload, .drain, .kick(user: Array("joe".utf8)),
            .lookup(user: Array("joe smith".utf8)),
            .kick(user: [0xff, 0, 10, 9, UInt8(ascii: "\\"), UInt8(ascii: "x")]), .kick(user: Array("straße".utf8)),
        ] as [ControlCommand])
    func aCommandIsALineAndBack(_ command: ControlCommand) throws {
        let line = Array(command.line.utf8)
        #expect(!line.contains(10))
        #expect(try ControlCommand(line: line) == command)
    }

    @Test func aLineThatIsNoneSaysWhy() {
        #expect(fault("frob")?.hasPrefix("no such command: frob; there are who") == true)
        #expect(fault("") != nil)
        #expect(fault("who joe") == "who takes no argument")
        #expect(fault("kick") == "kick needs the name of a user")
        #expect(fault("kick ") == "kick needs the name of a user")
        #expect(fault("WHO") != nil)
    }

    @Test func anAnswerIsTextAndBack() throws {
        var answer = ControlAnswer(
            columns: ["a", "b"], rows: [["1", ""], ["tab\tline\nend", "\\x"], ["é", "\u{1}"]])
        answer.warnings = ["one", "two\nlines"]
        #expect(try ControlAnswer(text: Array(answer.text.utf8)) == answer)
        #expect(try ControlAnswer(text: Array(ControlAnswer(columns: ["a"]).text.utf8)).rows == [])
        let refusal = ControlAnswer(error: "no\nreason")
        #expect(try ControlAnswer(text: Array(refusal.text.utf8)) == refusal)
    }

    @Test func theWireIsAsDocumented() {
        let answer = ControlAnswer(columns: ["user", "sent"], rows: [["joe", "7"]])
        #expect(answer.text == "OK\nuser\tsent\njoe\t7\nEND\n")
        #expect(ControlAnswer(error: "why").text == "ERROR why\nEND\n")
    }

    @Test(arguments: [
        "", "OK\n", "OK\na\tb\n1\t2\n", "OK\na\tb\n1\nEND\n", "huh\nx\nEND\n", "OK\nEND\n", "OK\na\nEND",
    ])
    func whatIsNotWholeIsNoAnswer(_ text: String) {
        #expect(throws: ControlAnswer.Fault.self) { try ControlAnswer(text: Array(text.utf8)) }
    }

    @Test func anyBytesComeBack() {
        for seed in 0..<500 {
            let bytes = (0..<(seed % 40)).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 167 ^ seed) }
            #expect(ControlText.plain(Array(ControlText.escaped(bytes).utf8)) == bytes)
        }
    }
}
