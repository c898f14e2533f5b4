import CLinux
import COpenSSL
import Glibc

/// The certificates of `ssl_cert_dir`, found by the name a client asks for (SNI, RFC 6066 section 3).
///
/// Parsed once, and shared by all connections: one context serves them all, and a handshake that names somebody takes
/// that certificate in place of the one of `ssl_cert_file`.
final class CertificateDirectory {
    /// Most sentences about files that are no use.
    static let warningLimit = 20

    /// One certificate with its key and chain.
    private final class Entry {
        let certificate: OpaquePointer
        let key: OpaquePointer
        let chain: OpaquePointer
        let path: String

        init(_ certificate: OpaquePointer, _ key: OpaquePointer, _ chain: OpaquePointer, _ path: String) {
            self.certificate = certificate
            self.key = key
            self.chain = chain
            self.path = path
        }

        deinit {
            X509_free(certificate)
            EVP_PKEY_free(key)
            openssl_free_chain(chain)
        }
    }

    private static let option = "ssl_cert_dir"

    /// By name in lower case, `*.` in front of those that stand for one label.
    private var entries: [[UInt8]: Entry] = [:]
    /// Certificates that are in use.
    private(set) var count = 0
    /// Sentences about files that are left out.
    private(set) var warnings: [String] = []
    private var silent = 0

    /// Reads all of a directory. A file that is no use is left out and named in `warnings`: it must not take the mail of
    /// everybody else along.
    /// - Throws: `TLSError` where the directory cannot be read.
    init(_ path: String) throws(TLSError) {
        for pair in try Self.pairs(path) {
            do throws(TLSError) {
                add(try Self.load(pair.certificate, pair.key))
            } catch {
                warn(error.description)
            }
        }
        if silent > 0 { warnings.append("--\(Self.option) \(printable(path)): \(silent) more files are left out") }
    }

    /// Names that are served.
    var names: Int { entries.count }

    /// Puts the certificate for the name that the client asks for into its connection, if there is one.
    func choose(for connection: OpaquePointer) {
        guard let text = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name) else { return }
        var name = [UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text))).map(Self.lowered)
        if name.last == UInt8(ascii: ".") { name.removeLast() }
        guard let entry = entry(name) else { return }
        _ = SSL_use_cert_and_key(connection, entry.certificate, entry.key, entry.chain, 1)
        ERR_clear_error()
    }

    /// Whose file serves a name; nil where that is `ssl_cert_file`.
    func path(for name: String) -> String? { entry(name.utf8.map(Self.lowered))?.path }

    private func entry(_ name: [UInt8]) -> Entry? {
        if let entry = entries[name] { return entry }
        guard let dot = name.firstIndex(of: UInt8(ascii: ".")), dot > 0 else { return nil }
        return entries[[UInt8(ascii: "*")] + name[dot...]]
    }

    private func add(_ entry: Entry) {
        let names = CertificateNames(entry.certificate).names.filter { !$0.isEmpty && !$0.contains(0) }
        guard !names.isEmpty else { return warn(Self.fault(entry.path, "the certificate has no name").description) }
        count += 1
        for name in Set(names.map { $0.map(Self.lowered) }) {
            guard let other = entries[name] else {
                entries[name] = entry
                continue
            }
            let text = printable(String(decoding: name, as: UTF8.self))
            warn(Self.fault(entry.path, "\(text) is in \(printable(other.path)) as well, which serves it").description)
        }
    }

    private func warn(_ text: String) {
        if warnings.count < Self.warningLimit { warnings.append(text) } else { silent += 1 }
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func fault(_ path: String, _ text: String) -> TLSError { .option(option, path, text) }

    // MARK: Files

    /// Which files belong together, in the order of their names: `NAME.pem` with both, `NAME.crt` or `NAME.crt.pem` beside
    /// `NAME.key` or `NAME.key.pem`, or a folder with `fullchain.pem` and `privkey.pem`, as ACME clients keep them.
    private static func pairs(_ path: String) throws(TLSError) -> [(certificate: String, key: String)] {
        let names = Set(try list(path))
        var pairs: [(certificate: String, key: String)] = []
        for name in names.sorted() where !name.hasPrefix(".") {
            let file = "\(path)/\(name)"
            guard !isFolder(file) else {
                guard access("\(file)/fullchain.pem", F_OK) == 0 else { continue }
                pairs.append(("\(file)/fullchain.pem", "\(file)/privkey.pem"))
                continue
            }
            guard !name.hasSuffix(".key.pem"),
                let end = [".crt.pem", ".pem", ".crt"].first(where: { name.hasSuffix($0) })
            else { continue }
            let stem = name.dropLast(end.count)
            let key = ["\(stem).key.pem", "\(stem).key"].first(where: { names.contains($0) })
            pairs.append((file, key.map { "\(path)/\($0)" } ?? file))
        }
        return pairs
    }

    private static func list(_ path: String) throws(TLSError) -> [String] {
        guard let folder = opendir(path) else { throw fault(path, systemText(linux_errno())) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func load(_ certificatePath: String, _ keyPath: String) throws(TLSError) -> Entry {
        guard let chain = openssl_new_chain() else { throw TLSError(.lost, "out of memory") }
        var own: OpaquePointer?
        var key: OpaquePointer?
        var isWhole = false
        defer {
            if !isWhole {
                X509_free(own)
                EVP_PKEY_free(key)
                openssl_free_chain(chain)
            }
        }
        try PEMFile(certificatePath, option: option).withReader { (reader) throws(TLSError) in
            own = PEM_read_bio_X509_AUX(reader, nil, nil, nil)
            guard own != nil else { throw fault(certificatePath, "no certificate in PEM form in it") }
            while let next = PEM_read_bio_X509(reader, nil, nil, nil) {
                guard openssl_push_chain(chain, next) > 0 else {
                    X509_free(next)
                    throw TLSError(.lost, "out of memory")
                }
            }
            guard OpenSSLFault.lastReason() == PEM_R_NO_START_LINE else {
                throw fault(certificatePath, "a certificate of the chain cannot be read: \(OpenSSLFault.text())")
            }
        }
        try PEMFile(keyPath, option: option).withReader { (reader) throws(TLSError) in
            key = PEM_read_bio_PrivateKey(reader, nil, noPassphrase, nil)
            guard key != nil else { throw fault(keyPath, "no private key in PEM form in it, or one with a passphrase") }
        }
        guard let own, let key, X509_check_private_key(own, key) == 1 else {
            ERR_clear_error()
            throw fault(certificatePath, "the key in \(printable(keyPath)) does not fit it")
        }
        isWhole = true
        return Entry(own, key, chain, certificatePath)
    }
}

/// Keys of the directory have no passphrase: nobody could type thousands, and OpenSSL must not ask the terminal.
private func noPassphrase(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int32, _ isForWriting: Int32, _ data: UnsafeMutableRawPointer?
) -> Int32 { -1 }

extension TLSContextBuilder {
    /// Reads a directory of certificates, and has handshakes look into it.
    /// - Returns: what has to live as long as the context; nil where there is no such option.
    func setDirectory(_ path: String) throws(TLSError) -> CertificateDirectory? {
        guard !path.isEmpty else { return nil }
        let directory = try CertificateDirectory(path)
        warnings += directory.warnings
        SSL_CTX_set_cert_cb(handle, certificateCallback, Unmanaged.passUnretained(directory).toOpaque())
        return directory
    }
}

private func certificateCallback(_ connection: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
    guard let connection, let argument else { return 1 }
    Unmanaged<CertificateDirectory>.fromOpaque(argument).takeUnretainedValue().choose(for: connection)
    return 1
}
