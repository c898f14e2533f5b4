import CLinux
import Glibc
import Testing

@testable import TLS

@Suite struct HandshakeTests {
    let authority: Authority
    let root: Authority.Identity
    let identity: Authority.Identity

    init() throws {
        authority = try Authority()
        root = try authority.issue("Root", isCA: true)
        identity = try authority.issue("mail.test", by: root)
    }

    @Test func bothSidesAgree() throws {
        let pair = try ConnectionPair(
            .client(ClientTLSOptions(trusting: root.certificate)), .server(ServerTLSOptions(identity)),
            name: "mail.test")
        #expect(pair.client.cipher == nil)
        #expect(pair.shakeHands())
        #expect(pair.client.version == "TLSv1.3")
        #expect(pair.server.version == "TLSv1.3")
        #expect(pair.client.cipher?.hasPrefix("TLS_") == true)
        #expect(pair.client.peerVerification == .verified)
        #expect(pair.server.peerVerification == .noCertificate)
        #expect(!pair.client.isResumed)
        #expect(pair.greet() == "hello")
        #expect(pair.send("and you", from: pair.client) == .done(7))
        #expect(pair.receive(pair.server) == "and you")
    }

    @Test(arguments: [
        ("tlsv1.2", "", "tlsv1.2", "", "TLSv1.3"),
        ("tlsv1.2", "tlsv1.2", "tlsv1.2", "", "TLSv1.2"),
        ("tlsv1.2", "", "TLSV1", "tlsv1.2", "TLSv1.2"),
        ("tlsv1.3", "", "sslv3", "", "TLSv1.3"),
        ("tlsv1.3", "", "tlsv1.2", "tlsv1.2", nil),
        ("tlsv1.2", "tlsv1.2", "tlsv1.3", "tlsv1.3", nil),
    ])
    func versions(
        serverLow: String, serverHigh: String, clientLow: String, clientHigh: String, agreed: String?
    ) throws {
        var serverOptions = ServerTLSOptions(identity)
        serverOptions.minimumVersion = serverLow
        serverOptions.maximumVersion = serverHigh
        var clientOptions = ClientTLSOptions(trusting: root.certificate)
        clientOptions.minimumVersion = clientLow
        clientOptions.maximumVersion = clientHigh
        let pair = try ConnectionPair(.client(clientOptions), .server(serverOptions))
        #expect(pair.shakeHands() == (agreed != nil))
        if let agreed {
            #expect(pair.server.version == agreed)
        } else {
            #expect(pair.serverFault?.kind == .handshake)
            #expect(pair.serverFault?.description.hasPrefix("TLS with the client failed: ") == true)
            #expect(pair.clientFault?.description.hasPrefix("TLS with the real server failed: ") == true)
        }
    }

    @Test(arguments: [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "tlsv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", "tlsv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", "", "TLS_CHACHA20_POLY1305_SHA256"),
        ("TLS_AES_128_GCM_SHA256", "", "TLS_AES_128_GCM_SHA256"),
    ])
    func ciphers(list: String, version: String, agreed: String) throws {
        for isServers in [true, false] {
            var serverOptions = ServerTLSOptions(identity)
            var clientOptions = ClientTLSOptions(trusting: root.certificate)
            serverOptions.maximumVersion = version
            if isServers { serverOptions.ciphers = list } else { clientOptions.ciphers = list }
            let pair = try ConnectionPair(.client(clientOptions), .server(serverOptions))
            #expect(pair.shakeHands())
            #expect(pair.client.cipher == agreed)
        }
    }

    @Test(arguments: [true, false]) func whoseCipherPreferenceCounts(isServers: Bool) throws {
        let first = "ECDHE-ECDSA-AES256-GCM-SHA384"
        let second = "ECDHE-ECDSA-AES128-GCM-SHA256"
        var serverOptions = ServerTLSOptions(identity)
        serverOptions.maximumVersion = "tlsv1.2"
        serverOptions.ciphers = "\(first):\(second)"
        serverOptions.prefersServerCiphers = isServers
        var clientOptions = ClientTLSOptions(trusting: root.certificate)
        clientOptions.ciphers = "\(second):\(first)"
        let pair = try ConnectionPair(.client(clientOptions), .server(serverOptions))
        #expect(pair.shakeHands())
        #expect(pair.server.cipher == (isServers ? first : second))
    }

    @Test func nothingInCommon() throws {
        var serverOptions = ServerTLSOptions(identity)
        serverOptions.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"
        serverOptions.maximumVersion = "tlsv1.2"
        var clientOptions = ClientTLSOptions(trusting: root.certificate)
        clientOptions.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384"
        let pair = try ConnectionPair(.client(clientOptions), .server(serverOptions))
        #expect(!pair.shakeHands())
        #expect(pair.serverFault?.description == "TLS with the client failed: no shared cipher")
    }

    @Test func plainTextInsteadOfAHello() throws {
        let context = try TLSContext.server(ServerTLSOptions(identity))
        let descriptors = try socketPair()
        defer {
            close(descriptors.0)
            close(descriptors.1)
        }
        let server = try TLSConnection(context, descriptor: descriptors.1)
        #expect(server.handshake() == .wantRead)
        let text = "a LOGIN joe secret\r\n"
        #expect(write(descriptors.0, text, text.utf8.count) == text.utf8.count)
        let error = ConnectionPair.fault(server.handshake())
        #expect(error?.kind == .handshake)
        #expect(server.handshake() == .closed, "once broken it stays so")
        #expect(server.shutdown() == .done(0))
    }

    @Test func hangUpInTheHandshake() throws {
        let context = try TLSContext.server(ServerTLSOptions(identity))
        let descriptors = try socketPair()
        defer { close(descriptors.1) }
        let server = try TLSConnection(context, descriptor: descriptors.1)
        close(descriptors.0)
        #expect(server.handshake() == .closed)
    }

    @Test func intermediatesAreSent() throws {
        let middle = try authority.issue("Middle", by: root, isCA: true)
        let leaf = try authority.issue("mail.test", by: middle)
        let client = try TLSContext.client(ClientTLSOptions(trusting: root.certificate))

        var options = ServerTLSOptions(leaf)
        #expect(!(try ConnectionPair(client, .server(options))).shakeHands(), "without it the chain has a gap")

        options.certificateFile = try authority.join(leaf.certificate, middle.certificate)
        #expect(try ConnectionPair(client, .server(options)).shakeHands())

        options.certificateFile = leaf.certificate
        options.caChainFile = try authority.join(middle.certificate, root.certificate)
        #expect(try ConnectionPair(client, .server(options)).shakeHands())
        options.verifiesClients = false
        #expect(try ConnectionPair(client, .server(options)).shakeHands())
    }
}
