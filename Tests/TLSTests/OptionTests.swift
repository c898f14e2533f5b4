import CLinux
import Foundation
import Glibc
import Testing

@testable import TLS

/// What stops the start, and the sentence that says so.
@Suite struct OptionTests {
    let authority: Authority
    let identity: Authority.Identity

    init() throws {
        authority = try Authority()
        identity = try authority.issue("mail.test")
    }

    private func serverFault(_ change: (inout ServerTLSOptions) throws -> Void) throws -> String? {
        var options = ServerTLSOptions(identity)
        try change(&options)
        do {
            _ = try TLSContext.server(options)
            return nil
        } catch {
            #expect(error.kind == .option)
            return error.description
        }
    }

    private func clientFault(_ change: (inout ClientTLSOptions) throws -> Void) throws -> String? {
        var options = ClientTLSOptions()
        options.trust.caPath = ""
        try change(&options)
        do {
            _ = try TLSContext.client(options)
            return nil
        } catch {
            #expect(error.kind == .option)
            return error.description
        }
    }

    @Test func allIsWell() throws {
        #expect(try serverFault { _ in } == nil)
        #expect(try clientFault { _ in } == nil)
    }

    @Test func unreadableFiles() throws {
        let missing = "\(authority.directory)/missing"
        let reason = "\(missing): No such file or directory"
        #expect(try serverFault { $0.certificateFile = missing } == "--ssl_cert_file \(reason)")
        #expect(try serverFault { $0.keyFile = missing } == "--ssl_key_file \(reason)")
        #expect(try serverFault { $0.dhParametersFile = missing } == "--ssl_dh_params_file \(reason)")
        #expect(try serverFault { $0.trust.caFile = missing } == "--ssl_ca_file \(reason)")
        #expect(try serverFault { $0.caChainFile = missing } == "--ssl_ca_chain_file \(reason)")
        #expect(try clientFault { $0.trust.caFile = missing } == "--ssl_ca_file \(reason)")
        let directory = authority.directory
        #expect(try serverFault { $0.keyFile = directory } == "--ssl_key_file \(directory): Is a directory")
    }

    @Test func filesThatHoldSomethingElse() throws {
        let text = try authority.file("nothing of use\n")
        for option in ["ssl_cert_file", "ssl_key_file", "ssl_dh_params_file", "ssl_ca_file", "ssl_ca_chain_file"] {
            let fault = try serverFault { options in
                switch option {
                case "ssl_cert_file": options.certificateFile = text
                case "ssl_key_file": options.keyFile = text
                case "ssl_dh_params_file": options.dhParametersFile = text
                case "ssl_ca_file": options.trust.caFile = text
                default: options.caChainFile = text
                }
            }
            #expect(fault?.hasPrefix("--\(option) \(text): no ") == true, "\(option)")
            #expect(fault?.contains("in PEM form in it") == true, "\(option)")
        }
        let damaged = try authority.join(
            identity.certificate,
            authority.file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
        let fault = try serverFault { $0.certificateFile = damaged }
        #expect(fault?.contains("a certificate of the chain cannot be read") == true)
        let endless = try serverFault { $0.certificateFile = "/dev/zero" }
        #expect(endless?.hasPrefix("--ssl_cert_file /dev/zero: longer than") == true)
    }

    @Test func keyOfAnotherCertificate() throws {
        let other = try authority.issue("other.test")
        let fault = try serverFault { $0.keyFile = other.key }
        let start = "--ssl_key_file \(other.key): the key does not fit the certificate in --ssl_cert_file "
        #expect(fault?.hasPrefix(start + identity.certificate) == true)
        let rsa = try authority.issue("rsa.test", key: ["rsa:2048"])
        #expect(try serverFault { $0.keyFile = rsa.key }?.contains("does not fit") == true)
    }

    @Test func weakCertificate() throws {
        let weak = try authority.issue("weak.test", key: ["rsa:1024"])
        let fault = try serverFault {
            $0.certificateFile = weak.certificate
            $0.keyFile = weak.key
        }
        #expect(fault?.hasPrefix("--ssl_cert_file \(weak.certificate): OpenSSL refuses the certificate") == true)
        // The list of ciphers sets the level, so it counts for the certificate too.
        let accepted = try serverFault {
            $0.certificateFile = weak.certificate
            $0.keyFile = weak.key
            $0.ciphers = "DEFAULT:@SECLEVEL=1"
        }
        #expect(accepted == nil)
    }

    @Test func certificateAndKeyInOneFile() throws {
        let both = try authority.join(identity.key, identity.certificate)
        #expect(
            try serverFault {
                $0.certificateFile = both
                $0.keyFile = both
            } == nil)
    }

    @Test func ciphers() throws {
        let name = "ssl_listen_ciphers"
        #expect(try serverFault { $0.ciphers = "NONSENSE" } == "--\(name) NONSENSE: no cipher is left: no cipher match")
        #expect(try serverFault { $0.ciphers = "TLS_NONSENSE" }?.hasPrefix("--\(name) TLS_NONSENSE: it names") == true)
        #expect(try serverFault { $0.ciphers = ":" } == "--\(name) :: no cipher in it")
        #expect(
            try clientFault { $0.ciphers = "NONSENSE" }
                == "--ssl_outgoing_ciphers NONSENSE: no cipher is left: no cipher match")
        var options = ServerTLSOptions(identity)
        options.ciphers = "HIGH:!aNULL:RC4-SHA:OLD-CIPHER:@STRENGTH"
        #expect(
            try TLSContext.server(options).warnings == [
                "--\(name): unknown to the system's OpenSSL, and left out: RC4-SHA, OLD-CIPHER"
            ])
    }

    @Test func versions() throws {
        let known = "unknown protocol version; known are sslv3, tlsv1, tlsv1.1, tlsv1.2, tlsv1.3"
        #expect(try serverFault { $0.minimumVersion = "tls9" } == "--ssl_listen_min_proto_version tls9: \(known)")
        #expect(try serverFault { $0.minimumVersion = "" } == "--ssl_listen_min_proto_version \"\": \(known)")
        #expect(try serverFault { $0.maximumVersion = "x" } == "--ssl_listen_max_proto_version x: \(known)")
        #expect(try clientFault { $0.minimumVersion = "x" } == "--ssl_outgoing_min_proto_version x: \(known)")
        #expect(try clientFault { $0.maximumVersion = "x" } == "--ssl_outgoing_max_proto_version x: \(known)")
        #expect(
            try clientFault { $0.maximumVersion = "tlsv1.1" }
                == "--ssl_outgoing_max_proto_version tlsv1.1: lower than --ssl_outgoing_min_proto_version tlsv1.2")
        #expect(try serverFault { $0.minimumVersion = "SSLv3" } == nil)
    }

    @Test func compressionIsMissedAloud() throws {
        var options = ServerTLSOptions(identity)
        options.allowsCompression = true
        #expect(try TLSContext.server(options).warnings.first?.hasPrefix("--ssl_listen_compression: ") == true)
    }

    @Test func noAuthorityIsMissedAloud() throws {
        var options = ClientTLSOptions()
        options.trust.caPath = "\(authority.directory)/missing"
        let warning = try TLSContext.client(options).warnings.first
        #expect(warning?.hasPrefix("--ssl_ca_path \(authority.directory)/missing: No such file") == true)
        options.verifiesCertificate = false
        #expect(try TLSContext.client(options).warnings.isEmpty)
    }

    @Test func parametersOfDiffieAndHellman() throws {
        let good = "\(authority.directory)/good.dh"
        try authority.openssl(["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", good])
        let weak = "\(authority.directory)/weak.dh"
        try authority.openssl(["dhparam", "-dsaparam", "-out", weak, "512"])

        #expect(try serverFault { $0.dhParametersFile = good } == nil)
        let fault = try serverFault { $0.dhParametersFile = weak }
        #expect(fault == "--ssl_dh_params_file \(weak): OpenSSL refuses the DH parameters: dh key too small")

        var options = ServerTLSOptions(identity)
        options.certificateFile = try authority.join(identity.certificate, weak)
        #expect(try TLSContext.server(options).warnings.first?.contains("dh key too small") == true)
        options.certificateFile = try authority.join(identity.certificate, good)
        #expect(try TLSContext.server(options).warnings.isEmpty)
    }

    @Test(arguments: ["file", "certificate", "own"]) func finiteFieldCiphersWork(source: String) throws {
        let rsa = try authority.issue("rsa.test", key: ["rsa:2048"])
        let parameters = "\(authority.directory)/own.dh"
        try authority.openssl(
            ["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", parameters])
        var options = ServerTLSOptions(rsa)
        options.maximumVersion = "tlsv1.2"
        options.ciphers = "DHE-RSA-AES128-GCM-SHA256"
        switch source {
        case "file": options.dhParametersFile = parameters
        case "certificate": options.certificateFile = try authority.join(rsa.certificate, parameters)
        default: break
        }
        let pair = try ConnectionPair(.client(ClientTLSOptions(trusting: rsa.certificate)), .server(options))
        #expect(pair.shakeHands())
        #expect(pair.client.cipher == "DHE-RSA-AES128-GCM-SHA256")
    }
}
