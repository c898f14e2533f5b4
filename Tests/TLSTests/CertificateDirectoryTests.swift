import COpenSSL
import Foundation
import Testing

@testable import TLS

/// `ssl_cert_dir`: certificates by the names in them, however their files are named, a few and many.
@Suite struct CertificateDirectoryTests {
    private let authority: Authority
    private let folder: String

    init() throws {
        authority = try Authority()
        folder = "\(authority.directory)/names"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// Puts copies of files there, several into one.
    private func put(_ files: String..., as name: String) throws {
        let path = "\(folder)/\(name)"
        try FileManager.default.createDirectory(
            at: URL(fileURLWithPath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
        let text = try files.map { try String(contentsOfFile: $0, encoding: .utf8) }.joined()
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    private func served(_ directory: CertificateDirectory, _ name: String) -> String {
        directory.path(for: name).map { String($0.dropFirst(folder.count + 1)) } ?? "-"
    }

    @Test func filesMayBeNamedInManyWays() throws {
        let names = ["one.test", "two.test", "three.test", "four.test", "*.five.test"]
        let made = try names.map { try authority.issue($0, alternatives: "DNS:\($0),DNS:also.\($0.dropFirst(2))") }
        try put(made[0].certificate, made[0].key, as: "one.pem")
        try put(made[1].certificate, as: "2.crt")
        try put(made[1].key, as: "2.key")
        try put(made[2].certificate, as: "perdition.crt.pem")
        try put(made[2].key, as: "perdition.key.pem")
        try put(made[3].certificate, as: "four.test/fullchain.pem")
        try put(made[3].key, as: "four.test/privkey.pem")
        try put(made[4].key, made[4].certificate, as: "wild.pem")
        try put(made[0].key, as: "README")
        let directory = try CertificateDirectory(folder)
        #expect(directory.warnings == [])
        #expect(directory.count == 5)
        for (name, file) in [
            ("one.test", "one.pem"), ("ONE.Test", "one.pem"), ("two.test", "2.crt"),
            ("three.test", "perdition.crt.pem"), ("four.test", "four.test/fullchain.pem"), ("a.five.test", "wild.pem"),
            ("five.test", "-"), ("a.b.five.test", "-"), (".five.test", "-"), ("six.test", "-"), ("", "-"),
        ] { #expect(served(directory, name) == file, "\(name)") }
    }

    /// One file that is no use takes nothing along, and is named.
    @Test func aBrokenFileNamesItself() throws {
        let good = try authority.issue("good.test")
        let other = try authority.issue("other.test")
        try put(good.certificate, good.key, as: "a.pem")
        try put(good.certificate, good.key, as: "b.pem")
        try put(other.certificate, as: "c.crt")
        try put(good.key, as: "c.key")
        try put(other.certificate, as: "d.pem")
        try "no certificate".write(toFile: "\(folder)/e.pem", atomically: false, encoding: .utf8)
        try authority.openssl(["ec", "-in", other.key, "-aes256", "-passout", "pass:x", "-out", "\(folder)/f.key"])
        try put(other.certificate, as: "f.crt")
        try put(other.certificate, as: "g/fullchain.pem")
        let directory = try CertificateDirectory(folder)
        #expect(served(directory, "good.test") == "a.pem")
        #expect(directory.count == 2)
        let faults = [
            "b.pem: good.test is in \(folder)/a.pem as well, which serves it",
            "c.crt: the key in \(folder)/c.key does not fit it",
            "d.pem: no private key in PEM form in it, or one with a passphrase",
            "e.pem: no certificate in PEM form in it",
            "f.key: no private key in PEM form in it, or one with a passphrase",
            "g/privkey.pem: No such file or directory",
        ]
        #expect(directory.warnings == faults.map { "--ssl_cert_dir \(folder)/\($0)" })
        #expect(throws: TLSError.self) { try CertificateDirectory("\(folder)/not-there") }
    }

    /// Whoever asks for a name gets its certificate with its chain, everybody else that of `ssl_cert_file`.
    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func handshakesTakeTheCertificateOfTheName(version: String) throws {
        let root = try authority.issue("Root", isCA: true)
        let middle = try authority.issue("Middle", by: root, isCA: true)
        let one = try authority.issue("one.test", by: middle)
        let wild = try authority.issue("*.two.test", by: root)
        try put(one.certificate, middle.certificate, one.key, as: "one.pem")
        try put(wild.certificate, wild.key, as: "two.pem")
        var options = ServerTLSOptions(try authority.issue("default.test", by: root))
        options.certificateDirectory = folder
        options.maximumVersion = version
        let server = try TLSContext.server(options)
        let client = try TLSContext.client(ClientTLSOptions(trusting: root.certificate))
        for (name, fits) in [
            ("one.test", true), ("mail.two.test", true), ("default.test", true), ("three.test", false),
        ] {
            for _ in 0..<2 {
                let pair = try ConnectionPair(client, server, name: name)
                #expect(pair.shakeHands() == fits, "\(name)")
            }
        }
        // A client that names nobody.
        var careless = ClientTLSOptions(trusting: root.certificate)
        careless.verifiesName = false
        #expect(try ConnectionPair(.client(careless), server, name: nil).shakeHands())
    }

    /// As many as a provider has customers. They share a key, which is quicker to make and as slow to read.
    @Test func fiveThousandAreServed() throws {
        let count = 5000
        guard let key = newKey() else { throw CocoaError(.fileWriteUnknown) }
        defer { EVP_PKEY_free(key) }
        for number in 0..<count { try make("mail.customer\(number).test", key, number) }
        let before = residentKiB()
        let start = DispatchTime.now().uptimeNanoseconds
        let directory = try CertificateDirectory(folder)
        let milliseconds = (DispatchTime.now().uptimeNanoseconds - start) / 1_000_000
        print("5000 certificates: \(milliseconds) ms, \(residentKiB() - before) KiB")
        #expect(directory.count == count && directory.names == count && directory.warnings == [])
        for number in [0, 1, 2500, count - 1] {
            #expect(served(directory, "mail.customer\(number).test") == "\(number).pem")
        }
    }

    private func make(_ name: String, _ key: OpaquePointer, _ number: Int) throws {
        guard let certificate = X509_new(), let out = BIO_new_file("\(folder)/\(number).pem", "w") else {
            throw CocoaError(.fileWriteUnknown)
        }
        defer {
            X509_free(certificate)
            BIO_free(out)
        }
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), number + 1)
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600)
        X509_gmtime_adj(X509_getm_notAfter(certificate), 864_000)
        let subject = X509_get_subject_name(certificate)
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, name, -1, -1, 0)
        X509_set_issuer_name(certificate, subject)
        X509_set_pubkey(certificate, key)
        guard X509_sign(certificate, key, EVP_sha256()) > 0, PEM_write_bio_X509(out, certificate) == 1,
            PEM_write_bio_PrivateKey(out, key, nil, nil, 0, nil, nil) == 1
        else { throw CocoaError(.fileWriteUnknown) }
    }

    private func newKey() -> OpaquePointer? {
        let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
            EVP_PKEY_generate(context, &key) == 1
        else { return nil }
        return key
    }

    private func residentKiB() -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return line.split(separator: " ").compactMap { Int($0) }.first ?? 0
    }
}
