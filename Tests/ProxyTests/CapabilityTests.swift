import Testing

@testable import Proxy

/// Capability lists in every state of a connection.
@Suite struct CapabilityTests {
    private func state(_ offersTLS: Bool, _ loginDisabled: Bool, _ managesLogin: Bool = false) -> Capabilities.State {
        Capabilities.State(offersTLS: offersTLS, loginDisabled: loginDisabled, managesLogin: managesLogin)
    }

    @Test(
        arguments: [
            // Configured, TLS on offer, login disabled, LOGINDISABLED managed: announced.
            ("IMAP4 IMAP4REV1", false, false, false, "IMAP4 IMAP4REV1"),
            ("IMAP4 IMAP4REV1", true, false, false, "IMAP4 IMAP4REV1 STARTTLS"),
            ("IMAP4 IMAP4REV1", false, true, false, "IMAP4 IMAP4REV1 LOGINDISABLED"),
            ("IMAP4 IMAP4REV1", true, true, true, "IMAP4 IMAP4REV1 STARTTLS LOGINDISABLED"),
            ("A STARTTLS B", false, false, false, "A B"), ("A STARTTLS B", true, false, false, "A STARTTLS B"),
            ("STARTTLS", false, false, false, ""), ("STARTTLS A", false, false, false, "A"),
            ("A starttls", true, false, false, "A starttls"), ("A starttls", false, false, false, "A"),
            ("A XSTARTTLS", false, false, false, "A XSTARTTLS"),
            ("A XSTARTTLS", true, false, false, "A XSTARTTLS STARTTLS"),
            ("A LOGINDISABLED", false, false, false, "A LOGINDISABLED"), ("A LOGINDISABLED", false, false, true, "A"),
            ("A LOGINDISABLED", false, true, true, "A LOGINDISABLED"),
            ("A LOGINDISABLED", true, true, false, "A LOGINDISABLED STARTTLS"),
            ("A  B", false, false, false, "A  B"),
            // To a String, each of these blanks is a part of the character beside it.
            ("\u{600} STARTTLS", false, false, false, "\u{600}"),
            ("\u{600} STARTTLS", true, false, false, "\u{600} STARTTLS"),
            ("STARTTLS \u{301}", false, false, false, "\u{301}"),
        ] as [(String, Bool, Bool, Bool, String)])
    func imap4(option: String, offersTLS: Bool, loginDisabled: Bool, managesLogin: Bool, expected: String) {
        #expect(Capabilities.imap4(option, state(offersTLS, loginDisabled, managesLogin)) == expected)
    }

    @Test(
        arguments: [
            ("UIDL.USER", false, ["UIDL", "USER"]), ("UIDL.USER", true, ["UIDL", "USER", "STLS"]),
            ("UIDL  SASL PLAIN  USER", false, ["UIDL", "SASL PLAIN", "USER"]),
            ("EXPIRE 60.UIDL", false, ["EXPIRE 60", "UIDL"]),
            ("STLS.USER", false, ["USER"]), ("STLS.USER", true, ["STLS", "USER"]), ("", true, ["STLS"]),
            ("", false, []),
            ("A..B.", false, ["A", "B"]),
        ] as [(String, Bool, [String])])
    func pop3(option: String, offersTLS: Bool, expected: [String]) {
        for disabled in [false, true] {
            #expect(Capabilities.pop3(option, state(offersTLS, disabled, disabled)) == expected)
        }
    }

    @Test(
        arguments: [
            (#""SIEVE" "a b"  "SASL" "PLAIN""#, false, [#""SIEVE" "a b""#, #""SASL" "PLAIN""#]),
            (#""SASL" "PLAIN""#, true, [#""SASL" "PLAIN""#, #""STARTTLS""#]),
            (#""STARTTLS"  "SASL" "PLAIN""#, false, [#""SASL" "PLAIN""#]),
        ] as [(String, Bool, [String])])
    func manageSieve(option: String, offersTLS: Bool, expected: [String]) {
        for disabled in [false, true] {
            #expect(Capabilities.manageSieve(option, state(offersTLS, disabled)) == expected)
        }
    }
}
