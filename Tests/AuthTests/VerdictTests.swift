import Authentication
import Lookup
import Testing

/// Answers of the helper, as values.
@Suite struct VerdictTests {
    @Test(arguments: [
        AuthenticationVerdict.accepted, .refused(delay: 0), .refused(delay: 2500), .unavailable("a directory is down"),
        .unavailable(""),
    ])
    func anAnswerComesOutAsItWentIn(_ verdict: AuthenticationVerdict) throws {
        var input = Netstring(limit: AuthenticationVerdict.limit)
        verdict.encoded.withUnsafeBytes { input.append($0) }
        let payload = try #require(try input.next())
        #expect(AuthenticationVerdict(payload: payload) == verdict)
        #expect(input.pending == 0)
    }

    @Test(arguments: ["", "ok", "OK ", "OK x", "OKAY", "NO", "NO ", "NO -1", "NO x", "no 5", "TEMPO", " OK", "\0"])
    func whatIsNotUnderstoodIsNeitherYesNorNo(_ text: String) {
        guard case .unavailable = AuthenticationVerdict(payload: Array(text.utf8)[...]) else {
            Issue.record("\(text) was taken for an answer")
            return
        }
    }

    @Test func reasonsAndPausesHaveTheirLimits() throws {
        let encoded = AuthenticationVerdict.unavailable(String(repeating: "x", count: 5000)).encoded
        #expect(encoded.count <= AuthenticationVerdict.limit + 6)
        let long = Array("NO \(UInt64.max)".utf8)
        #expect(AuthenticationVerdict(payload: long[...]) == .refused(delay: AuthenticationVerdict.longestDelay))
    }
}
