import Testing

@testable import TLS

@Suite struct VerificationTests {
    let authority: Authority
    let root: Authority.Identity

    init() throws {
        authority = try Authority()
        root = try authority.issue("Root", isCA: true)
    }

    private func connect(
        _ identity: Authority.Identity, chain: String? = nil, name: String? = nil,
        _ change: (inout ClientTLSOptions) -> Void = { _ in }
    ) throws -> ConnectionPair {
        var serverOptions = ServerTLSOptions(identity)
        if let chain { serverOptions.certificateFile = chain }
        var clientOptions = ClientTLSOptions(trusting: root.certificate)
        change(&clientOptions)
        let pair = try ConnectionPair(.client(clientOptions), .server(serverOptions), name: name)
        pair.shakeHands()
        return pair
    }

    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func selfSigned(version: String) throws {
        let identity = try authority.issue("mail.test")
        let refused = try connect(identity) { $0.maximumVersion = version }
        #expect(refused.clientFault?.kind == .certificate)
        let sentence = refused.clientFault?.description
        #expect(
            sentence == "certificate /CN=mail.test in the chain of the real server was refused: "
                + "self-signed certificate; --ssl_cert_accept_self_signed would accept it")
        let accepted = try connect(identity) { $0.trust.acceptsSelfSigned = true }
        #expect(accepted.clientResult == .done(0))
        #expect(accepted.client.peerVerification == .excused)
        for other: (inout ClientTLSOptions) -> Void in [
            { $0.trust.acceptsSelfSignedCA = true }, { $0.trust.acceptsExpired = true },
            { $0.trust.acceptsNotYetValid = true }, { $0.verifiesName = false },
        ] {
            #expect(try connect(identity, other).clientFault?.kind == .certificate)
        }
    }

    @Test func selfSignedAuthority() throws {
        let stranger = try authority.issue("Stranger", isCA: true)
        let identity = try authority.issue("mail.test", by: stranger)
        let chain = try authority.join(identity.certificate, stranger.certificate)
        // Written with its root in the file, which the server would else leave out.
        let refused = try connect(identity, chain: chain)
        #expect(refused.clientFault?.kind == .certificate)
        let accepted = try connect(identity, chain: chain) { $0.trust.acceptsSelfSignedCA = true }
        #expect(accepted.clientResult == .done(0))
        #expect(accepted.client.peerVerification == .excused)
        let other = try connect(identity, chain: chain) { $0.trust.acceptsSelfSigned = true }
        #expect(other.clientFault?.kind == .certificate)
    }

    @Test func unknownAuthority() throws {
        let stranger = try authority.issue("Stranger", isCA: true)
        let identity = try authority.issue("mail.test", by: stranger)
        let refused = try connect(identity) {
            $0.trust.acceptsSelfSigned = true
            $0.trust.acceptsSelfSignedCA = true
            $0.trust.acceptsExpired = true
            $0.trust.acceptsNotYetValid = true
        }
        #expect(refused.clientFault?.kind == .certificate)
        #expect(refused.clientFault?.description.hasSuffix("--ssl_no_cert_verify would accept it") == true)
        let accepted = try connect(identity) { $0.verifiesCertificate = false }
        #expect(accepted.clientResult == .done(0))
        #expect(accepted.client.peerVerification == .notAsked)
    }

    @Test func noAuthorityAtAll() throws {
        let identity = try authority.issue("mail.test", by: root)
        let refused = try connect(identity) { $0.trust.caFile = "" }
        #expect(refused.clientFault?.kind == .certificate)
    }

    @Test func expired() throws {
        let identity = try authority.issue("mail.test", by: root, start: -10, end: -1)
        let refused = try connect(identity)
        #expect(refused.clientFault?.description.contains("/CN=mail.test") == true)
        #expect(
            refused.clientFault?.description.hasSuffix(
                "certificate has expired; --ssl_cert_accept_expired would accept it") == true)
        #expect(try connect(identity) { $0.trust.acceptsExpired = true }.clientResult == .done(0))
        #expect(try connect(identity) { $0.trust.acceptsNotYetValid = true }.clientFault?.kind == .certificate)
    }

    @Test func notYetValid() throws {
        let identity = try authority.issue("mail.test", by: root, start: 1)
        let refused = try connect(identity)
        #expect(
            refused.clientFault?.description.hasSuffix(
                "certificate is not yet valid; --ssl_cert_accept_not_yet_valid would accept it") == true)
        #expect(try connect(identity) { $0.trust.acceptsNotYetValid = true }.clientResult == .done(0))
        #expect(try connect(identity) { $0.trust.acceptsExpired = true }.clientFault?.kind == .certificate)
    }

    @Test func expiredAuthority() throws {
        let old = try authority.issue("Old", isCA: true, start: -10, end: -1)
        let identity = try authority.issue("mail.test", by: old)
        let refused = try connect(identity) { $0.trust.caFile = old.certificate }
        #expect(refused.clientFault?.description.contains("/CN=Old") == true)
        let accepted = try connect(identity) {
            $0.trust.caFile = old.certificate
            $0.trust.acceptsExpired = true
        }
        #expect(accepted.clientResult == .done(0))
    }

    @Test func twoFaultsNeedTwoOptions() throws {
        let identity = try authority.issue("mail.test", start: -10, end: -1)
        #expect(try connect(identity) { $0.trust.acceptsSelfSigned = true }.clientFault?.kind == .certificate)
        #expect(try connect(identity) { $0.trust.acceptsExpired = true }.clientFault?.kind == .certificate)
        let accepted = try connect(identity) {
            $0.trust.acceptsSelfSigned = true
            $0.trust.acceptsExpired = true
        }
        #expect(accepted.clientResult == .done(0))
    }

    @Test(arguments: [(0, false), (1, false), (2, true), (9, true), (1_000_000, true), (-1, false)])
    func depth(limit: Int, isEnough: Bool) throws {
        let middle = try authority.issue("Middle", by: root, isCA: true)
        let identity = try authority.issue("mail.test", by: middle)
        let chain = try authority.join(identity.certificate, middle.certificate)
        let pair = try connect(identity, chain: chain) { $0.trust.verifyDepth = limit }
        #expect((pair.clientResult == .done(0)) == isEnough)
        if !isEnough {
            #expect(pair.clientFault?.description.contains("--ssl_cert_verify_depth \(limit)") == true)
        }
    }

    @Test func depthZero() throws {
        let identity = try authority.issue("mail.test", by: root)
        #expect(try connect(identity) { $0.trust.verifyDepth = 0 }.clientFault?.kind == .certificate)
        #expect(try connect(identity) { $0.trust.verifyDepth = 1 }.clientResult == .done(0))
        let own = try authority.issue("mail.test")
        let accepted = try connect(own) {
            $0.trust.verifyDepth = 0
            $0.trust.acceptsSelfSigned = true
        }
        #expect(accepted.clientResult == .done(0))
    }

    @Test func authoritiesFromADirectory() throws {
        let identity = try authority.issue("mail.test", by: root)
        try authority.openssl(["rehash", authority.directory])
        let fromPath = try connect(identity) {
            $0.trust.caFile = ""
            $0.trust.caPath = authority.directory
        }
        #expect(fromPath.clientResult == .done(0))
    }

    @Test func names() throws {
        let alternatives = "DNS:*.alt.test,IP:192.0.2.7,IP:2001:db8::7"
        let identity = try authority.issue("mail.test", by: root, alternatives: alternatives)
        for name in ["mail.test", "MAIL.Test.", "a.alt.test", "192.0.2.7", "2001:DB8:0::7"] {
            #expect(try connect(identity, name: name).clientResult == .done(0), "\(name)")
        }
        for name in ["other.test", "a.b.alt.test", "alt.test", "192.0.2.8", "2001:db8::8", ""] {
            let fault = try connect(identity, name: name).clientFault
            #expect(fault?.kind == .name, "\(name)")
            #expect(fault?.description.hasSuffix("--ssl_no_cn_verify would accept it") == true)
            #expect(try connect(identity, name: name) { $0.verifiesName = false }.clientResult == .done(0))
            #expect(try connect(identity, name: name) { $0.verifiesCertificate = false }.clientFault?.kind == .name)
        }
        #expect(try connect(identity, name: nil).clientResult == .done(0))
    }

    @Test func nulInsideAName() throws {
        // DNS:good.test\0.evil.test, as a careless authority would have signed it.
        let bytes = Array("good.test\0.evil.test".utf8)
        let der = [0x30, UInt8(bytes.count + 2), 0x82, UInt8(bytes.count)] + bytes
        let hex = der.map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0" + digits : digits
        }
        let identity = try authority.issue(
            "evil.test", by: root, alternatives: "DER:" + hex.joined(separator: ":"))
        #expect(try connect(identity, name: "evil.test").clientResult == .done(0))
        #expect(try connect(identity, name: "good.test").clientFault?.kind == .name)
        #expect(try connect(identity, name: "good.test\0.evil.test").clientFault?.kind == .name)
    }

    @Test func subjectsAreEscaped() throws {
        let identity = try authority.issue("m\u{FC}ll\u{1B}[31m")
        let text = try #require(try connect(identity).clientFault?.description)
        #expect(text.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
    }
}
