import Authentication
import Testing

/// The wire between proxy and helper, as values.
@Suite struct RequestTests {
    private static func encode(_ user: [UInt8], _ client: String, _ password: [UInt8]) -> [UInt8]? {
        password.withUnsafeBytes { AuthenticationRequest.encode(user: user, client: client, password: $0) }
    }

    private static func parse(_ bytes: some Collection<UInt8>) -> AuthenticationRequest.State {
        Array(bytes).withUnsafeBytes { AuthenticationRequest.parse($0) }
    }

    private static let pairs: [([UInt8], [UInt8])] = [
        (Array("joe".utf8), Array("secret".utf8)), ([], []), (Array("a,b".utf8), Array("1:x,".utf8)),
        ([0xff, 0x0a], [0x0d, 0x0a, 0x80]),
        ([UInt8](repeating: 120, count: AuthenticationRequest.fieldLimit), [UInt8](repeating: 44, count: 8192)),
    ]

    @Test(arguments: pairs) func aRequestComesOutAsItWentIn(_ user: [UInt8], _ password: [UInt8]) throws {
        let bytes = try #require(Self.encode(user, "2001:db8::7", password))
        #expect(bytes.count <= AuthenticationRequest.limit)
        guard case .complete(let fields) = Self.parse(bytes) else {
            Issue.record("\(Self.parse(bytes))")
            return
        }
        #expect(Array(bytes[fields.user]) == user)
        #expect(Array(bytes[fields.client]) == Array("2001:db8::7".utf8))
        #expect(Array(bytes[fields.password]) == password)
        // A NUL may take the place of each mark: the fields do not touch.
        #expect(fields.user.upperBound < fields.client.lowerBound)
        #expect(fields.client.upperBound < fields.password.lowerBound)
        #expect(fields.password.upperBound == bytes.count - 1)
    }

    @Test func everyBeginningWaitsForMore() throws {
        let bytes = try #require(Self.encode(Array("joe".utf8), "10.0.0.1", Array("a password".utf8)))
        for count in 0..<bytes.count { #expect(Self.parse(bytes[..<count]) == .incomplete, "\(count)") }
        #expect(Self.parse(bytes + [0]) == .malformed, "nothing may stand behind it")
    }

    @Test(arguments: [
        ":joe,0:,0:,", "x", "3joe", "03:joe,0:,0:,", "3:joe;0:,0:,", "8193:", "3:joe,65:", "3:joe,0:,8193:", "-1:",
        "3:j\0e,0:,0:,", "3:joe,0:,1:\0,", "99999999999999999999999:", "3:joe,0:,0:,0:,", "3: joe,0:,0:,",
    ])
    func whatIsNoRequestIsRefused(_ text: String) {
        #expect(Self.parse(text.utf8) == .malformed)
    }

    @Test func aFieldIsNeverCut() {
        let long = [UInt8](repeating: 120, count: AuthenticationRequest.fieldLimit + 1)
        #expect(Self.encode(long, "", [1]) == nil)
        #expect(Self.encode([1], "", long) == nil)
        #expect(Self.encode([1], String(repeating: "1", count: 65), [1]) == nil)
        #expect(Self.encode([106, 0, 101], "", [1]) == nil)
        #expect(Self.encode([106], "", [115, 0]) == nil)
    }
}
