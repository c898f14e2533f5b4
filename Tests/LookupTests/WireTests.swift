import Lookup
import Testing

/// The wire code alone: bytes in, values out.
struct WireTests {
    private func decode(_ text: String, limit: Int = 100, chunk: Int = .max) throws -> [String] {
        try decode(Array(text.utf8), limit: limit, chunk: chunk)
    }

    private func decode(_ bytes: [UInt8], limit: Int, chunk: Int) throws -> [String] {
        var decoder = Netstring(limit: limit)
        var found: [String] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(chunk))
            rest = rest.dropFirst(chunk)
            part.withUnsafeBytes { decoder.append($0) }
            while let payload = try decoder.next() { found.append(String(decoding: payload, as: UTF8.self)) }
        }
        return found
    }

    @Test(arguments: [1, 2, 3, 5, 7, 1000])
    func netstringsComeOutHoweverTheyAreCut(chunk: Int) throws {
        #expect(try decode("5:hello,0:,12:a,b:c 1:x,yz,", chunk: chunk) == ["hello", "", "a,b:c 1:x,yz"])
    }

    @Test(arguments: [
        ("x", WireError.malformedLength), (":", .malformedLength), ("-1:x,", .malformedLength),
        ("05:hello,", .malformedLength), ("00:,", .malformedLength), (" 1:x,", .malformedLength),
        ("1;x,", .malformedLength), ("101:", .tooLong(limit: 100)),
        ("99999999999999999999999999", .tooLong(limit: 100)),
        ("3:abcd,", .missingComma), ("0:x", .missingComma),
    ])
    func nonsenseIsRefusedAtItsFirstByte(text: String, error: WireError) {
        #expect(throws: error) { try decode(text) }
        #expect(throws: error) { try decode(text, chunk: 1) }
    }

    @Test func aLengthIsJudgedBeforeItsPayloadComes() {
        var decoder = Netstring(limit: Limits.request)
        Array("100000:".utf8).withUnsafeBytes { decoder.append($0) }
        #expect(throws: WireError.tooLong(limit: Limits.request)) { try decoder.next() }
        #expect(decoder.pending <= 7)
    }

    @Test(arguments: 0..<20)
    func nonsenseIsTheSameHoweverItIsCut(seed: Int) {
        var random = Dice(state: UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1)
        for _ in 0..<200 {
            var bytes = Array("12:popmap hello,0:,7:popmap ,3:a,b,".utf8)
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] = Array("0123456789:,-x \0".utf8).randomElement(using: &random) ?? 0
            }
            func outcome(_ chunk: Int) -> (found: [[UInt8]], error: WireError?, pending: Int) {
                var decoder = Netstring(limit: 100)
                var found: [[UInt8]] = []
                for start in stride(from: 0, to: bytes.count, by: chunk) {
                    bytes[start..<min(start + chunk, bytes.count)].withUnsafeBytes { decoder.append($0) }
                    do {
                        while let payload = try decoder.next() {
                            found.append(Array(payload))
                            _ = Wire.request(payload)
                            _ = Wire.answer(payload)
                        }
                    } catch {
                        return (found, error, 0)
                    }
                }
                return (found, nil, decoder.pending)
            }
            let whole = outcome(.max - 100)
            let cut = outcome(Int.random(in: 1...9, using: &random))
            #expect(whole == cut, "\(bytes)")
        }
    }

    /// Random numbers that are the same each time.
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
    }

    @Test func theLongestPayloadPasses() throws {
        let text = String(repeating: "x", count: 100)
        #expect(try decode("100:\(text),", chunk: 9) == [text])
    }

    @Test(arguments: [[], Array("joe".utf8), Array("a b\r\n, 3:x,".utf8), (0...255).map { UInt8($0) }])
    func anyKeyMakesARequestThatIsReadBack(key: [UInt8]) throws {
        var bytes: [UInt8] = []
        Wire.append(map: Array("popmap".utf8), key: key, to: &bytes)
        var decoder = Netstring(limit: Limits.request)
        bytes.withUnsafeBytes { decoder.append($0) }
        let payload = try #require(try decoder.next())
        let request = try #require(Wire.request(payload))
        #expect(Array(request.map) == Array("popmap".utf8))
        #expect(Array(request.key) == key)
    }

    @Test(arguments: ["popmap", " joe", "", "popmap " + String(repeating: "k", count: Limits.key + 1)])
    func whatIsNoRequestIsNone(payload: String) {
        #expect(Wire.request(Array(payload.utf8)[...]) == nil)
    }

    @Test(arguments: [
        Answer.found(Array("10.0.0.1:110".utf8)), .found([]), .found([0, 10, 255, 44]), .notFound,
        .temporary("the database is down"), .permanent("no such map"), .temporary(""),
    ])
    func answersAreReadBackAsTheyWere(answer: Answer) throws {
        var bytes: [UInt8] = []
        Wire.append(answer, to: &bytes)
        var decoder = Netstring(limit: Limits.reply)
        bytes.withUnsafeBytes { decoder.append($0) }
        let payload = try #require(try decoder.next())
        #expect(Wire.answer(payload) == answer)
    }

    @Test func everyStatusHasItsMeaning() {
        func answer(_ text: String) -> Answer { Wire.answer(Array(text.utf8)[...]) }
        #expect(answer("OK a b") == .found(Array("a b".utf8)))
        #expect(answer("NOTFOUND") == .notFound)
        #expect(answer("TIMEOUT slow") == .temporary("slow"))
        #expect(answer("TIMEOUT ") == .temporary("timeout"))
        #expect(answer("PERM a\nb\u{1b}[m") == .permanent("a?b?[m"))
        for odd in ["", "ok x", "OKAY x", "FOUND x"] {
            guard case .temporary = answer(odd) else {
                Issue.record("\(odd) was taken for \(answer(odd))")
                continue
            }
        }
    }

    @Test func repliesKeepToTheirLimits() throws {
        for answer in [
            Answer.found([UInt8](repeating: 120, count: Limits.reply - 3)),
            .found([UInt8](repeating: 120, count: 100_000)),
            .temporary(String(repeating: "é", count: 5000)),
        ] {
            var bytes: [UInt8] = []
            Wire.append(answer, to: &bytes)
            var decoder = Netstring(limit: Limits.reply)
            bytes.withUnsafeBytes { decoder.append($0) }
            let payload = try #require(try decoder.next())
            switch (answer, Wire.answer(payload)) {
            case (.found(let value), .found(let read)): #expect(read == value)
            case (.found(let value), .permanent): #expect(value.count > Limits.reply - 3)
            case (.temporary, .temporary(let reason)): #expect(reason.utf8.count == Limits.reason)
            default: Issue.record("an answer changed its kind")
            }
        }
    }
}
