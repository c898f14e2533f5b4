import Glibc

/// A mail program that sends exactly what it is told to.
final class MailClient: Connection {
    /// The greeting the server sent.
    private(set) var greeting = ""
    /// What must live as long as this client.
    var server: AnyObject?

    /// Connects and reads the greeting.
    ///
    /// - Parameters:
    ///   - source: The address to come from, if that matters.
    ///   - secure: Whether TLS comes first.
    init(
        _ port: UInt16, host: String = "127.0.0.1", from source: String? = nil, greeted: Bool = true,
        secure: Bool = false, within seconds: Double = 20
    ) throws {
        let address = try SocketAddress(host, port)
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw Failure.system("socket") }
        super.init(descriptor: descriptor)
        if let source = try source.map({ try SocketAddress($0, 0) }) {
            guard source.with({ bind(descriptor, $0, $1) }) == 0 else { throw Failure.system("bind") }
        }
        guard address.with({ connect(descriptor, $0, $1) }) == 0 else { throw Failure.system("connect to \(port)") }
        if secure { try startTLS(within: seconds) }
        if greeted { greeting = try line(within: seconds) }
    }

    /// Sends one line and returns the answer, which is one line.
    func ask(_ line: String, within seconds: Double = 20) throws -> String {
        try send(line + "\r\n")
        return try self.line(within: seconds)
    }

    /// Sends an IMAP4 command and returns its untagged lines, then the tagged one.
    func command(_ line: String, within seconds: Double = 20) throws -> [String] {
        try send(line + "\r\n")
        let tag = line.prefix { $0 != " " }
        return try lines(within: seconds) { $0.hasPrefix(tag + " ") }
    }

    /// IMAP4 LOGIN; returns the tagged line.
    func login(_ user: String, _ password: String, tag: String = "a", within seconds: Double = 20) throws -> String {
        try command("\(tag) LOGIN \(user) \(password)", within: seconds).last ?? ""
    }

    /// Logs in by either protocol; returns the last line of the answer.
    func logIn(
        _ flavour: Flavour, _ user: String = "joe", _ password: String = "secret", within seconds: Double = 20
    ) throws -> String {
        switch flavour {
        case .imap4: try login(user, password, within: seconds)
        case .pop3: try pass(user, password, within: seconds)
        }
    }

    /// POP3 USER and PASS; returns the answer to PASS.
    func pass(_ user: String, _ password: String, within seconds: Double = 20) throws -> String {
        let answer = try ask("USER \(user)")
        guard answer.hasPrefix("+OK") else { return answer }
        return try ask("PASS \(password)", within: seconds)
    }
}
