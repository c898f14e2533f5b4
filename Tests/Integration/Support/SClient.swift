import Foundation

/// The mail program of people who debug: openssl s_client, which checks the certificate as well.
enum SClient {
    /// Connects, sends the lines and reads until the server closes.
    ///
    /// - Parameter options: Further options of s_client.
    /// - Returns: Exit status, and what the server said through TLS, with s_client's own words.
    static func run(
        _ port: UInt16, starttls flavour: Flavour? = nil, authority: Authority.Identity,
        _ options: [String] = ["-quiet"], lines: [String]
    ) throws -> (status: Int32, output: String) {
        let protocolName = flavour.map { ["-starttls", $0 == .imap4 ? "imap" : "pop3"] } ?? []
        return try ChildProcess.run(
            Programs.debian("openssl"),
            [
                "s_client", "-connect", "127.0.0.1:\(port)", "-crlf", "-CAfile", authority.certificate,
                "-verify_return_error", "-verify_ip", "127.0.0.1", "-no-CApath", "-no-CAstore",
            ] + protocolName + options, input: lines.map { $0 + "\n" }.joined(), within: 60)
    }

    /// What logs `user` in, asks one thing and leaves.
    static func session(_ flavour: Flavour, _ user: String, _ password: String) -> [String] {
        switch flavour {
        case .imap4: ["a LOGIN \(user) \(password)", "b SELECT INBOX", "c LOGOUT"]
        case .pop3: ["USER \(user)", "PASS \(password)", "STAT", "QUIT"]
        }
    }
}
