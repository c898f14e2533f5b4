import Testing

@testable import Proxy

/// Lines and literals cut out of a bounded buffer.
@Suite struct LineReaderTests {
    private func reader(_ text: String) -> LineReader {
        var reader = LineReader()
        add(text, to: &reader)
        return reader
    }

    private func add(_ text: String, to reader: inout LineReader) {
        Array(text.utf8).withUnsafeBytes { reader.append($0) }
    }

    private func line(_ text: String) -> LineReader.Line { .line(Array(text.utf8)) }

    /// The same lines however the bytes arrive.
    @Test func cutsTheSameLinesWhereverTheBytesAreSplit() {
        let text = "a NOOP\r\n\r\nb LOGIN {3}\nj\re\r\r\nlast"
        let expected = [line("a NOOP"), line(""), line("b LOGIN {3}"), line("je"), .incomplete]
        for first in 0...text.utf8.count {
            for second in first...text.utf8.count {
                let bytes = Array(text.utf8)
                var reader = LineReader()
                var lines: [LineReader.Line] = []
                for piece in [bytes[..<first], bytes[first..<second], bytes[second...]] {
                    Array(piece).withUnsafeBytes { reader.append($0) }
                    while case .line(let found) = reader.nextLine() { lines.append(.line(found)) }
                }
                lines.append(reader.nextLine())
                #expect(lines == expected, "split at \(first) and \(second)")
                #expect(reader.takeAll().text == "last")
            }
        }
    }

    @Test(arguments: [
        ("a\n", "a"), ("a\r\n", "a"), ("a\r\r\n", "a"), ("\ra\rb\r\n", "ab"), ("\r\n", ""), ("\n", ""),
        ("a\0b\n", "a\0b"),
    ])
    func dropsEveryCarriageReturn(text: String, expected: String) {
        var reader = reader(text)
        #expect(reader.nextLine() == line(expected))
        #expect(reader.count == 0)
    }

    @Test func endsLinesAtTheLimit() {
        var full = reader(String(repeating: "x", count: LineReader.lineLimit - 1) + "\n")
        #expect(full.room == 0)
        #expect(full.nextLine() == line(String(repeating: "x", count: LineReader.lineLimit - 1)))
        #expect(full.room == LineReader.lineLimit)
        var endless = reader(String(repeating: "x", count: LineReader.lineLimit - 1))
        #expect(endless.nextLine() == .incomplete)
        #expect(endless.room == 1)
        add("x", to: &endless)
        #expect(endless.nextLine() == .tooLong)
        #expect(endless.nextLine() == .tooLong)
        #expect(endless.count == LineReader.lineLimit)
    }

    @Test func anUnfinishedLineBehindOthersHasTheWholeLimit() {
        var reader = reader("short\n" + String(repeating: "x", count: LineReader.lineLimit - 6))
        #expect(reader.nextLine() == line("short"))
        #expect(reader.nextLine() == .incomplete)
        #expect(reader.room == 6)
        add("12345\n", to: &reader)
        guard case .line(let long) = reader.nextLine() else {
            Issue.record("no line")
            return
        }
        #expect(long.count == LineReader.lineLimit - 1)
    }

    @Test func takesBytesAsTheyAre() {
        var reader = reader("LOGIN {5}\r\na\r\nb\0 next\r\n")
        #expect(reader.nextLine() == line("LOGIN {5}"))
        #expect(reader.take(atMost: 5).text == "a\r\nb\0")
        #expect(reader.nextLine() == line(" next"))
        #expect(reader.take(atMost: 5) == [])
        #expect(reader.take(atMost: 0) == [])
    }

    @Test func showsALineAsItCameAndLeavesIt() {
        var reader = reader("a NO\rOP\r\nb")
        #expect(reader.peekLine() == Array("a NO\rOP\r\n".utf8))
        #expect(reader.nextLine() == line("a NOOP"))
        #expect(reader.peekLine() == [])
        #expect(reader.count == 1)
    }

    @Test func takesOnlyWhatIsThere() {
        var reader = reader("abc")
        #expect(reader.take(atMost: 10).text == "abc")
        #expect(reader.count == 0)
        add("d\n", to: &reader)
        #expect(reader.nextLine() == line("d"))
    }

    @Test func discardsAndSaysHowMuch() {
        var reader = reader("a\nbcd")
        #expect(reader.nextLine() == line("a"))
        #expect(reader.discard() == 3)
        #expect(reader.count == 0)
        #expect(reader.discard() == 0)
        add("e\n", to: &reader)
        #expect(reader.nextLine() == line("e"))
    }

    @Test func handsOverTheRest() {
        var reader = reader("a\nb\nc")
        #expect(reader.nextLine() == line("a"))
        #expect(reader.takeAll().text == "b\nc")
        #expect(reader.takeAll() == [])
        #expect(reader.room == LineReader.lineLimit)
    }

    /// Many lines in reads that never end with one: the buffer neither grows nor loses anything.
    @Test func staysWithinItsBoundsForEver() {
        var reader = LineReader()
        var bytes: [UInt8] = []
        for number in 0..<20_000 { bytes += Array("line \(number)\r\n".utf8) }
        var sent = 0
        var lines = 0
        while sent < bytes.count {
            let size = min(reader.room, 3001, bytes.count - sent)
            bytes[sent..<sent + size].withUnsafeBytes { reader.append($0) }
            sent += size
            while case .line(let found) = reader.nextLine() {
                if found.text != "line \(lines)" { Issue.record("\(found.text) instead of line \(lines)") }
                lines += 1
            }
            #expect(reader.memory.count <= 4 * LineReader.lineLimit)
        }
        #expect(lines == 20_000)
    }

    /// Nothing of a line is left in the buffer once it is used up, nor behind the end of what waits.
    @Test func wipesWhatIsUsedUp() {
        var reader = reader("LOGIN joe hunter2\r\nnext")
        _ = reader.nextLine()
        #expect(!reader.memory.text.contains("hunter2"))
        #expect(reader.memory.text.contains("next"))
        _ = reader.takeAll()
        var literal = self.reader("hunter2 hunter2")
        _ = literal.take(atMost: 10)
        #expect(literal.memory.count { $0 == UInt8(ascii: "h") } == 0)
        literal.discard()
        #expect(literal.memory.allSatisfy { $0 == 0 })
    }

    /// Moving what waits to the front of the buffer leaves no copy where it was.
    @Test func leavesNoCopyBehindWhenItMoves() {
        var reader = LineReader()
        let filler = String(repeating: "x", count: 4000) + "\n"
        for _ in 0..<8 {
            add(filler, to: &reader)
            add("hunter2", to: &reader)
            _ = reader.nextLine()
            var copies = 0
            let memory = reader.memory
            for start in memory.indices.dropLast(6) where memory[start..<start + 7].text == "hunter2" { copies += 1 }
            #expect(copies == 1)
            #expect(reader.take(atMost: 7).text == "hunter2")
        }
    }
}
