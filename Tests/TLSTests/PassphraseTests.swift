import CLinux
import Glibc
import Testing

@testable import TLS

@Suite struct PassphraseTests {
    let authority: Authority
    let identity: Authority.Identity
    let encrypted: String

    init() throws {
        authority = try Authority()
        identity = try authority.issue("mail.test")
        encrypted = "\(authority.directory)/encrypted.key"
        try authority.openssl(
            ["pkey", "-in", identity.key, "-aes128", "-passout", "pass:open sesame", "-out", encrypted])
    }

    private func fault(_ source: PassphraseSource) -> String? {
        var options = ServerTLSOptions(identity)
        options.keyFile = encrypted
        options.passphrase = source
        do {
            _ = try TLSContext.server(options)
            return nil
        } catch {
            return error.description
        }
    }

    @Test(arguments: ["open sesame", "open sesame\n", "open sesame\r\n", "open sesame\nsecond line\n"])
    func firstLineOfAFile(text: String) throws {
        #expect(fault(.file(try authority.file(text))) == nil)
    }

    @Test(arguments: ["", "\n", "open", "open sesame \n", "\nopen sesame\n"])
    func wrongPassphrase(text: String) throws {
        let path = try authority.file(text)
        #expect(
            fault(.file(path)) == "--ssl_key_file \(encrypted): the passphrase from --ssl_passphrase_file \(path) "
                + "does not open the key: put the right one into its first line")
    }

    @Test func unreadable() throws {
        #expect(
            fault(.file("/nowhere"))
                == "--ssl_key_file \(encrypted): the key is encrypted; --ssl_passphrase_file /nowhere: "
                + "No such file or directory")
        #expect(
            fault(.descriptor(987)) == "--ssl_key_file \(encrypted): the key is encrypted; --ssl_passphrase_fd 987: "
                + "Bad file descriptor")
        let long = try authority.file(String(repeating: "x", count: 5000))
        #expect(fault(.file(long))?.contains("the first line is longer than 1023 bytes") == true)
    }

    @Test func descriptorIsReadNoFurtherThanItsFirstLine() throws {
        let descriptors = try pipe("open sesame\nnot ours")
        defer { close(descriptors) }
        #expect(fault(.descriptor(descriptors)) == nil)
        var rest = [UInt8](repeating: 0, count: 100)
        let count = read(descriptors, &rest, rest.count)
        #expect(String(decoding: rest.prefix(max(count, 0)), as: UTF8.self) == "not ours")
    }

    @Test func keyInTheClearAsksForNothing() throws {
        let descriptor = try pipe("not ours")
        defer { close(descriptor) }
        var options = ServerTLSOptions(identity)
        options.passphrase = .descriptor(descriptor)
        _ = try TLSContext.server(options)
        var byte: UInt8 = 0
        #expect(read(descriptor, &byte, 1) == 1)
        #expect(byte == UInt8(ascii: "n"))
    }

    @Test func oldStyleEncryptedKey() throws {
        let old = "\(authority.directory)/old.key"
        try authority.openssl(
            ["ec", "-in", identity.key, "-aes128", "-passout", "pass:open sesame", "-out", old])
        var options = ServerTLSOptions(identity)
        options.keyFile = old
        let descriptor = try pipe("open sesame\n")
        defer { close(descriptor) }
        options.passphrase = .descriptor(descriptor)
        _ = try TLSContext.server(options)
    }

    @Test func showsNothing() throws {
        let phrase = try Passphrase(.file(authority.file("open sesame")))
        #expect("\(phrase)" == "***")
    }

    /// The reading end of a pipe that holds `text` and is closed at the other end.
    private func pipe(_ text: String) throws -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw SocketFault(code: linux_errno()) }
        defer { close(ends[1]) }
        guard write(ends[1], text, text.utf8.count) == text.utf8.count else { throw SocketFault(code: linux_errno()) }
        return ends[0]
    }
}
