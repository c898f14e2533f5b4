import Testing

@testable import Proxy

/// `--connection_logging`: everything is shown but what may be a password.
@Suite struct TranscriptTests {
    private func lines(_ pieces: [(sent: Bool, text: String)], masks: Bool = true, peer: StaticString = "CLIENT")
        -> [String]
    {
        var transcript = Transcript(peer, masks: masks)
        return pieces.map { transcript.line(sent: $0.sent, Array($0.text.utf8)) }
    }

    @Test func showsWhoSaidWhatWithItsLineEnd() {
        #expect(
            lines([(true, "+OK hi\r\n"), (false, "USER joe\r\n"), (false, "NOOP\n"), (false, "a \"\\\u{1}\r\n")]) == [
                "SELF:   \"+OK hi\\r\\n\"", "CLIENT: \"USER joe\\r\\n\"", "CLIENT: \"NOOP\\n\"",
                "CLIENT: \"a \\\"\\\\\\001\\r\\n\"",
            ])
        #expect(lines([(false, "* OK\r\n")], peer: "REAL") == ["REAL:   \"* OK\\r\\n\""])
    }

    @Test(arguments: [
        ("PASS se cret\r\n", "PASS ***\\r\\n"), ("a LOGIN joe secret\r\n", "a LOGIN joe ***\\r\\n"),
        ("a login \"joe smith\" \"se cret\"\r\n", "a login \\\"joe ***\\r\\n"),
        ("a LOGIN joe {6}\r\n", "a LOGIN joe ***\\r\\n"),
        ("AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n", "AUTHENTICATE \\\"PLAIN\\\" ***\\r\\n"),
        ("a AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=\r\n", "a AUTHENTICATE PLAIN ***\\r\\n"),
        ("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", "AUTH PLAIN ***\\r\\n"),
        // No blank behind the quote, so that both are one word.
        ("AUTHENTICATE \"PLAIN\"AGpvZQBzZWNyZXQ=\r\n", "AUTHENTICATE ***\\r\\n"),
        ("a LOGIN \"joe\"secret\r\n", "a LOGIN ***\\r\\n"),
        // No quote either.
        ("AUTHENTICATE \"PLAINAGpvZQBzZWNyZXQ=\r\n", "AUTHENTICATE ***\\r\\n"),
        ("a AUTHENTICATE PLAIN,AGpvZQBzZWNyZXQ=\r\n", "a AUTHENTICATE ***\\r\\n"),
        ("AUTH AGpvZQBzZWNyZXQ=\r\n", "AUTH ***\\r\\n"),
        ("a AUTHENTICATE AVeryLongWordThatNamesNothing\r\n", "a AUTHENTICATE ***\\r\\n"),
        // Behind a line that ended with LF CR, and with a CR in the middle: the reader of lines drops them.
        ("\rPASS secret\n", "PASS ***\\n"), ("a LO\rGIN joe secret\r\r\n", "a LOGIN joe ***\\r\\r\\n"),
    ])
    func masksPasswords(piece: String, shown: String) {
        for sent in [true, false] {
            #expect(lines([(sent, piece)]) == ["\(sent ? "SELF:  " : "CLIENT:") \"\(shown)\""])
        }
        #expect(!lines([(false, piece)], masks: false).joined().contains("***"))
    }

    @Test func masksWhatFollowsALiteral() {
        #expect(
            lines([
                (false, "a LOGIN {3}\r\n"), (true, "+ go on\r\n"), (false, " {6}\r\n"), (true, "+ go on\r\n"),
                (false, "secret\r\n"), (true, "a NO failed\r\n"), (false, "b NOOP\r\n"),
            ]).filter { $0.hasPrefix("CLIENT") } == [
                "CLIENT: \"a LOGIN {3}\\r\\n\"", "CLIENT: \"***\\r\\n\"", "CLIENT: \"***\\r\\n\"",
                "CLIENT: \"b NOOP\\r\\n\"",
            ])
        #expect(
            lines([
                (true, "flim07 LOGIN \"joe\" {8}\r\n"), (false, "* note\r\n"), (false, "+ \r\n"),
                (true, "se\" cret\r\n"),
            ])
            .last == "SELF:   \"***\\r\\n\"")
    }

    @Test func masksTheAnswerToAChallenge() {
        #expect(
            lines([(false, "AUTHENTICATE \"PLAIN\"\r\n"), (true, "\"\"\r\n"), (false, "\"AGpvZQBzZWNyZXQ=\"\r\n")]).last
                == "CLIENT: \"***\\r\\n\"")
    }

    /// Each response of an exchange is masked, however many there are, and with an initial response as well.
    @Test func masksEveryResponse() {
        for (command, plus, end) in [
            ("a AUTHENTICATE LOGIN", "+ ", "a NO no"), ("AUTH LOGIN", "+ ", "-ERR no"),
            ("auth login am9l", "+ ", "-ERR no"), ("a AUTHENTICATE XOAUTH2 dXNlcj0=", "+ ", "a NO no"),
            ("AUTHENTICATE \"LOGIN\" \"am9l\"", "\"", "NO \"no\""),
        ] {
            for sent in [true, false] {
                let shown = lines([
                    (sent, "\(command)\r\n"), (!sent, "\(plus)VXNlcm5hbWU6\r\n"), (sent, "am9l\r\n"),
                    (!sent, "\(plus)UGFzc3dvcmQ6\r\n"), (sent, "c2VjcmV0\r\n"), (!sent, "\(end)\r\n"),
                    (sent, "b NOOP\r\n"),
                ])
                let label = sent ? "SELF:  " : "CLIENT:"
                #expect(shown[2] == "\(label) \"***\\r\\n\"" && shown[4] == shown[2], "\(command)")
                #expect(!shown.joined().contains("am9l") && !shown.joined().contains("dXNl"))
                #expect(shown[6] == "\(label) \"b NOOP\\r\\n\"")
            }
        }
    }

    @Test func showsWhatFollowsALoginThatWasRefused() {
        for refusal in ["a NO not supported\r\n", "-ERR no\r\n", "NO \"no\"\r\n"] {
            #expect(
                lines([(false, "a AUTHENTICATE PLAIN\r\n"), (true, refusal), (false, "b CAPABILITY\r\n")]).last
                    == "CLIENT: \"b CAPABILITY\\r\\n\"")
        }
    }
}
