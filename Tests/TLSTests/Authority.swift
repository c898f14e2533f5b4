import Foundation

@testable import TLS

/// A directory with keys and certificates made by the openssl command, gone when this object goes.
final class Authority {
    /// A certificate and its key.
    struct Identity {
        let certificate: String
        let key: String
        let name: String
    }

    struct CommandFailed: Error {
        let command: [String]
        let output: String
    }

    let directory: String
    private var count = 0

    init() throws {
        var template = Array("\(FileManager.default.temporaryDirectory.path)/perdition-tls-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw CocoaError(.fileWriteUnknown) }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// A certificate, self-signed where `issuer` is nil.
    /// - Parameters:
    ///   - alternatives: subjectAltName as x509v3_config(5) has it.
    ///   - start: first day, counted from today.
    ///   - end: last day, counted from today.
    func issue(
        _ name: String, by issuer: Identity? = nil, isCA: Bool = false, alternatives: String = "",
        start: Int = 0, end: Int = 10, key: [String] = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    ) throws -> Identity {
        count += 1
        let stem = "\(directory)/\(count)"
        let made = Identity(certificate: "\(stem).crt", key: "\(stem).key", name: name)
        let extensions = [
            "basicConstraints=critical,CA:\(isCA ? "TRUE" : "FALSE")",
            alternatives.isEmpty ? "" : "subjectAltName=\(alternatives)",
        ]
        let configuration = """
            [req]
            distinguished_name=any
            x509_extensions=extensions
            [ca]
            default_ca=own
            [own]
            database=\(stem).db
            new_certs_dir=\(directory)
            default_md=sha256
            policy=any
            rand_serial=yes
            unique_subject=no
            x509_extensions=extensions
            [any]
            commonName=supplied
            [extensions]
            \(extensions.joined(separator: "\n"))

            """
        try write(configuration, to: "\(stem).cnf")
        let request =
            ["req", "-newkey"] + key + [
                "-config", "\(stem).cnf", "-nodes", "-keyout", made.key, "-subj", "/CN=\(name)",
            ]
        guard start != 0 || end != 10 else {
            let signer = issuer.map { ["-CA", $0.certificate, "-CAkey", $0.key] } ?? []
            try openssl(request + ["-x509", "-out", made.certificate, "-days", "10"] + signer)
            return made
        }
        // Only this subcommand takes dates of the past and the future, and it wants its ledger.
        try openssl(request + ["-new", "-out", "\(stem).csr"])
        try write("", to: "\(stem).db")
        let signer =
            issuer.map { ["-cert", $0.certificate, "-keyfile", $0.key] } ?? ["-selfsign", "-keyfile", made.key]
        try openssl(
            ["ca", "-batch", "-notext", "-config", "\(stem).cnf", "-in", "\(stem).csr", "-out", made.certificate] + [
                "-startdate", Self.date(start), "-enddate", Self.date(end),
            ] + signer)
        return made
    }

    /// A file holding several others, one behind the other.
    func join(_ files: String...) throws -> String {
        count += 1
        let path = "\(directory)/\(count).pem"
        try write(files.map { try String(contentsOfFile: $0, encoding: .utf8) }.joined(), to: path)
        return path
    }

    /// A file with this text.
    func file(_ text: String) throws -> String {
        count += 1
        let path = "\(directory)/\(count).txt"
        try write(text, to: path)
        return path
    }

    private func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    /// Runs openssl to its end.
    @discardableResult
    func openssl(_ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CommandFailed(command: arguments, output: output) }
        return output
    }

    private static func date(_ day: Int) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.dateFormat = "yyyyMMddHHmmss'Z'"
        return formatter.string(from: Date(timeIntervalSinceNow: Double(day) * 86_400))
    }
}

extension ServerTLSOptions {
    /// What a server with this certificate needs.
    init(_ identity: Authority.Identity) {
        self.init()
        certificateFile = identity.certificate
        keyFile = identity.key
        trust.caPath = ""
    }
}

extension ClientTLSOptions {
    /// What a client that trusts these authorities needs.
    init(trusting file: String) {
        self.init()
        trust.caFile = file
        trust.caPath = ""
    }
}
