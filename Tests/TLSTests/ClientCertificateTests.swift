import Foundation
import Testing

@testable import TLS

/// Clients may show a certificate; ours never does, so openssl s_client plays them.
@Suite struct ClientCertificateTests {
    let authority: Authority
    let root: Authority.Identity
    let identity: Authority.Identity

    init() throws {
        authority = try Authority()
        root = try authority.issue("Root", isCA: true)
        identity = try authority.issue("mail.test", by: root)
    }

    private func serve(
        showing certificate: Authority.Identity?, _ change: (inout ServerTLSOptions) -> Void = { _ in }
    ) throws -> TinyServer.Session {
        var options = ServerTLSOptions(identity)
        options.trust.caFile = root.certificate
        change(&options)
        let server = try TinyServer(.server(options))
        let shown = certificate.map { ["-cert", $0.certificate, "-key", $0.key] } ?? []
        let client = try CommandLineClient(port: server.port, shown + ["-quiet", "-no_ign_eof"])
        defer { client.end() }
        client.endInput()
        return try server.serveOne()
    }

    @Test func notNeeded() throws {
        let session = try serve(showing: nil)
        #expect(session.handshake == .done(0))
        #expect(session.verification == .noCertificate)
    }

    @Test func verified() throws {
        let session = try serve(showing: authority.issue("joe", by: root))
        #expect(session.handshake == .done(0))
        #expect(session.verification == .verified)
    }

    @Test func theChainFileIsBelievedToo() throws {
        let stranger = try authority.issue("Stranger", isCA: true)
        let session = try serve(showing: authority.issue("joe", by: stranger)) {
            $0.caChainFile = stranger.certificate
        }
        #expect(session.verification == .verified)
        let other = try serve(showing: authority.issue("jim", by: root)) { $0.caChainFile = stranger.certificate }
        #expect(other.verification == .verified)
    }

    @Test func unverifiable() throws {
        let joe = try authority.issue("joe")
        let fault = ConnectionPair.fault(try serve(showing: joe).handshake)
        #expect(fault?.kind == .certificate)
        #expect(fault?.description.hasPrefix("certificate /CN=joe in the chain of the client was refused") == true)
        let unasked = try serve(showing: joe) { $0.verifiesClients = false }
        #expect(unasked.handshake == .done(0))
        #expect(unasked.verification == .notAsked)
        let excused = try serve(showing: joe) { $0.trust.acceptsSelfSigned = true }
        #expect(excused.handshake == .done(0))
        #expect(excused.verification == .excused)
        let stranger = try serve(showing: authority.issue("joe", by: authority.issue("Stranger", isCA: true)))
        let words = ConnectionPair.fault(stranger.handshake)?.description
        #expect(words?.hasSuffix("--ssl_no_client_cert_verify would accept it") == true)
    }
}
