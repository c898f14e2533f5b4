import Testing

@testable import TLS

/// A client not written by us.
@Suite struct CommandLineTests {
    let authority: Authority
    let root: Authority.Identity
    let server: TinyServer

    init() throws {
        authority = try Authority()
        root = try authority.issue("Root", isCA: true)
        server = try TinyServer(.server(ServerTLSOptions(authority.issue("mail.test", by: root))))
    }

    @Test(arguments: [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
    func talks(option: String, version: String) throws {
        let client = try CommandLineClient(
            port: server.port,
            [option, "-CAfile", root.certificate, "-verify_return_error", "-verify_hostname", "mail.test"])
        client.type("hello there\n")
        client.endInput()
        let session = try server.serveOne()
        let printed = client.readAll()
        #expect(session.handshake == .done(0))
        #expect(session.version == version)
        #expect(session.heard == "hello there\n")
        #expect(session.end == .closed)
        #expect(printed.contains("Verify return code: 0 (ok)"))
        #expect(printed.contains("Compression: NONE"))
    }

    @Test func renegotiationIsRefused() throws {
        let client = try CommandLineClient(port: server.port, ["-tls1_2"])
        client.type("R\n")
        let session = try server.serveOne()
        let printed = client.readAll()
        #expect(session.handshake == .done(0))
        #expect(session.heard == "")
        #expect(printed.contains("RENEGOTIATING"))
        #expect(printed.contains("no renegotiation"))
    }

    @Test func oldVersionsAreRefused() throws {
        let client = try CommandLineClient(port: server.port, ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"])
        client.endInput()
        let session = try server.serveOne()
        #expect(ConnectionPair.fault(session.handshake)?.description.hasPrefix("TLS with the client failed: ") == true)
        #expect(client.readAll().contains("protocol version"))
    }
}
