import Foundation
import Testing

/// What testssl.sh thinks of the defaults.
@Suite(.staged) struct ScanTests {
    private struct Finding: Decodable {
        let id: String
        let severity: String
        let finding: String
    }

    @Test func nothingGraveIsFoundAtTheDefaults() throws {
        let authority = try Authority()
        // What it says about our certificate is none of the proxy's doing: so it gets one with all that is wanted.
        let identity = try authority.issue(
            "localhost", by: authority.root.get(), alternatives: Authority.local, validity: .lasting,
            more: "crlDistributionPoints=URI:http://localhost/authority.crl")
        let secure = try Perdition(.imap4, name: "perdition.imaps", identity.options)
        // The word is written as testssl.sh looks for it.
        let upgrading = try Perdition(
            .imap4, identity.options + ["--ssl_mode", "tls_listen", "--imap_capability", "IMAP4 IMAP4rev1"])
        let scans = try [
            scan("127.0.0.1:\(secure.port)", authority),
            scan("127.0.0.1:\(upgrading.port)", authority, ["-t", "imap"]),
        ]
        for scan in scans {
            let status = try scan.process.exitStatus(within: 280)
            let findings = try JSONDecoder().decode(
                [Finding].self, from: #require(FileManager.default.contents(atPath: scan.result)))
            let grave = findings.filter { ["HIGH", "CRITICAL", "FATAL"].contains($0.severity) }
            #expect(grave.isEmpty, "exit status \(status): \(grave)")
            // It came to its end, and saw TLS.
            for (id, severity) in [
                ("SSLv3", "OK"), ("TLS1_3", "OK"), ("cert_chain_of_trust", "OK"), ("heartbleed", "OK"),
                ("secure_client_renego", "OK"), ("LOGJAM", "OK"), ("LUCKY13", "LOW"),
            ] {
                let found = findings.first { $0.id == id || $0.id.hasPrefix("\(id) ") }
                #expect(found?.severity == severity, "\(id): \(found?.finding ?? "not looked at"): \(scan.process.log)")
            }
        }
    }

    private func scan(
        _ address: String, _ authority: Authority, _ options: [String] = []
    ) throws -> (process: ChildProcess, result: String) {
        let result = authority.directory.file("\(address).json")
        let process = try ChildProcess(
            Programs.debian("testssl"),
            [
                "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--fast", "-p", "-s", "-f", "-P",
                "-S",
                "-U", "--add-ca", authority.root.get().certificate, "--jsonfile", result,
            ] + options + [address], log: authority.directory.file("\(address).log"))
        return (process, result)
    }
}
