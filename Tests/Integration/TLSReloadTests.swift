import Foundation
import Glibc
import Testing

/// Keys, certificates and TLS sessions over reloads and crashes.
@Suite(.staged) struct TLSReloadTests {
    private final class Stand {
        let authority: Authority
        let configuration: Configuration
        let proxy: Perdition

        init(options: [String] = [], input: String = "/dev/null", _ lines: (Authority) throws -> [String]) throws {
            authority = try Authority()
            configuration = try Configuration(["map_library \"\"", "ssl_mode ssl_listen"] + lines(authority))
            proxy = try Perdition(.imap4, options, input: input, configuration: configuration)
        }

        func replace(_ lines: [String]) throws {
            try configuration.replace(with: ["map_library \"\"", "ssl_mode ssl_listen"] + lines)
        }

        func client(_ options: [String] = []) throws -> String {
            try SClient.run(proxy.port, authority: authority.root.get(), ["-ign_eof"] + options, lines: ["a LOGOUT"])
                .output
        }
    }

    private static func lines(_ identity: Authority.Identity) -> [String] {
        ["ssl_cert_file \(identity.chain)", "ssl_key_file \(identity.key)"]
    }

    @Test func theNextClientSeesTheNewCertificate() throws {
        let stand = try Stand { try Self.lines($0.issue("first.test")) }
        #expect(try stand.client().contains("subject=CN = first.test"))
        try stand.replace(Self.lines(stand.authority.issue("second.test")))
        #expect(try stand.proxy.reload().hasPrefix("Reloaded"))
        #expect(try stand.client().contains("subject=CN = second.test"))
        // The same files with other contents, as certbot has it, and one by one.
        let third = try stand.authority.issue("third.test")
        let names = try (
            stand.configuration.directory.write("", to: "crt"), stand.configuration.directory.write("", to: "key")
        )
        func copy(_ from: String, _ to: String) throws {
            try Data(contentsOf: URL(fileURLWithPath: from)).write(to: URL(fileURLWithPath: to))
        }
        try copy(third.chain, names.0)
        try copy(third.key, names.1)
        try stand.replace(["ssl_cert_file \(names.0)", "ssl_key_file \(names.1)"])
        #expect(try stand.proxy.reload().hasPrefix("Reloaded"))
        let fourth = try stand.authority.issue("fourth.test")
        try copy(fourth.chain, names.0)
        let line = try stand.proxy.reload()
        #expect(line.hasPrefix("Reload refused") && line.contains("the key does not fit the certificate"), "\(line)")
        #expect(try stand.client().contains("subject=CN = third.test"))
        try copy(fourth.key, names.1)
        #expect(try stand.proxy.reload().hasPrefix("Reloaded"))
        #expect(try stand.client().contains("subject=CN = fourth.test"))
    }

    /// Names of --ssl_cert_dir, those that a reload brings and takes, and one file that is no use.
    @Test func theDirectoryIsReadAnew() throws {
        let names = try TemporaryDirectory()
        let stand = try Stand { authority in
            for name in ["one.test", "two.test"] {
                let identity = try authority.issue(name, alternatives: "DNS:\(name),IP:127.0.0.1")
                let text = try String(contentsOfFile: identity.chain, encoding: .utf8)
                try names.write(text + String(contentsOfFile: identity.key, encoding: .utf8), to: "\(name).pem")
            }
            return try Self.lines(authority.issue("first.test")) + ["ssl_cert_dir \(names.path)"]
        }
        func subject(_ name: String) throws -> String {
            let output = try stand.client(["-servername", name])
            return output.split(separator: "\n").first { $0.hasPrefix("subject=") }.map(String.init) ?? output
        }
        #expect(try subject("one.test") == "subject=CN = one.test")
        #expect(try subject("three.test") == "subject=CN = first.test")
        let third = try stand.authority.issue("third", alternatives: "DNS:three.test,IP:127.0.0.1")
        let text = try String(contentsOfFile: third.chain, encoding: .utf8)
        try names.write(text + String(contentsOfFile: third.key, encoding: .utf8), to: "three.pem")
        try names.write("broken", to: "broken.pem")
        unlink(names.file("one.test.pem"))
        #expect(try stand.proxy.reload().hasPrefix("Reloaded"))
        #expect(try subject("three.test") == "subject=CN = third")
        #expect(try subject("two.test") == "subject=CN = two.test")
        #expect(try subject("one.test") == "subject=CN = first.test")
        _ = try stand.proxy.message {
            $0 == "--ssl_cert_dir \(names.file("broken.pem")): no certificate in PEM form in it"
        }
    }

    @Test func thePassphraseIsReadOnce() throws {
        let directory = try TemporaryDirectory()
        let phrase = try directory.write("open sesame\n", to: "phrase")
        var key = ""
        let stand = try Stand(options: ["--ssl_passphrase_fd", "0"], input: phrase) { authority in
            let identity = try authority.issue("first.test")
            key = try authority.encrypt(identity.key, "open sesame")
            return ["ssl_cert_file \(identity.chain)", "ssl_key_file \(key)"]
        }
        for _ in 0..<3 { #expect(try stand.proxy.reload().hasPrefix("Reloaded")) }
        #expect(try stand.client().contains("subject=CN = first.test"))
        let second = try stand.authority.issue("second.test")
        try stand.replace([
            "ssl_cert_file \(second.chain)", "ssl_key_file \(stand.authority.encrypt(second.key, "another"))",
        ])
        let line = try stand.proxy.reload()
        #expect(line.hasPrefix("Reload refused") && line.contains("does not open the key"), "\(line)")
        #expect(!stand.proxy.process.log.contains("sesame"))
        for process in stand.proxy.family {
            let text = try String(contentsOfFile: "/proc/\(process.pid)/environ", encoding: .utf8)
            #expect(!text.contains("sesame") && !process.arguments.joined().contains("sesame"))
        }
    }

    @Test func anEncryptedKeyThatComesLaterIsRefused() throws {
        let stand = try Stand { try Self.lines($0.issue("first.test")) }
        let second = try stand.authority.issue("second.test")
        try stand.replace([
            "ssl_cert_file \(second.chain)", "ssl_key_file \(stand.authority.encrypt(second.key, "another"))",
        ])
        let line = try stand.proxy.reload()
        #expect(line.hasPrefix("Reload refused") && line.contains("no passphrase was read"), "\(line)")
        #expect(try stand.client().contains("subject=CN = first.test"))
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"]) func sessionsAreResumed(_ version: String) throws {
        var lines: [String] = []
        let stand = try Stand { authority in
            lines = try Self.lines(authority.issue("mail.test"))
            return lines
        }
        let file = stand.configuration.directory.file("session")
        #expect(try stand.client([version, "-sess_out", file]).contains("New, TLSv1"))
        let again = [version, "-sess_in", file, "-sess_out", file]
        #expect(try stand.client(again).contains("Reused, TLSv1"))
        let first = try stand.proxy.worker
        #expect(try stand.proxy.reload().hasPrefix("Reloaded"))
        try eventually("the old worker has left") { !first.isAlive }
        #expect(try stand.client(again).contains("Reused, TLSv1"), "after a reload")
        kill(try stand.proxy.worker.pid, SIGKILL)
        #expect(try stand.client(again).contains("Reused, TLSv1"), "after a crash")
        // Who has another secret has other keys.
        let other = try Stand { _ in lines }
        let output = try SClient.run(
            other.proxy.port, authority: stand.authority.root.get(), ["-ign_eof", version, "-sess_in", file],
            lines: ["a LOGOUT"]
        ).output
        #expect(output.contains("New, TLSv1"))
    }
}
