import Control

/// A session as `perditionctl who` shows it.
struct SessionEntry: Sendable {
    /// How far it is.
    enum State: String {
        /// Its client has not sent a name and a password.
        case waiting
        /// Its login is under way.
        case loggingIn = "logging-in"
        /// It is logged in.
        case relaying
    }

    /// Longest text of a cell, in bytes: so that a line of an answer has an end.
    private static let longest = 256

    /// How far it is.
    let state: State
    /// What its client speaks.
    let protocolName: ProtocolName
    /// `A->B`, as the log has it.
    let route: String
    /// The name whose mailbox it is; empty before it is known.
    var user = ""
    /// The name whose password it was.
    var authentication = ""
    /// The real server; empty before it is known.
    var server = ""
    /// The version of TLS towards the client.
    var clientTLS = "none"
    /// The version of TLS towards the real server.
    var serverTLS = "none"
    /// Milliseconds since it began.
    var age: UInt64 = 0
    /// Bytes from its client.
    var received: UInt64 = 0
    /// Bytes from its real server.
    var sent: UInt64 = 0

    init(_ state: State, _ protocolName: ProtocolName, route: String) {
        self.state = state
        self.protocolName = protocolName
        self.route = route
    }

    /// What stands above the cells.
    static let columns = [
        "state", "protocol", "client", "user", "server", "client_tls", "server_tls", "since", "received", "sent",
        "login_as", "worker",
    ]

    /// One cell for each column.
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - worker: the process it is in.
    func cells(now: UInt64, worker: Int32) -> [String] {
        let client = route.utf8.firstIndex(of: UInt8(ascii: "-")).map { String(route[..<$0]) } ?? route
        return [
            state.rawValue, protocolName.logName, client, Self.shortened(user), Self.shortened(server), clientTLS,
            serverTLS, WallTime.text(now &- min(now, age / 1000)), String(received), String(sent),
            authentication == user ? "" : Self.shortened(authentication), String(worker),
        ]
    }

    private static func shortened(_ text: String) -> String {
        text.utf8.count <= longest ? text : String(decoding: text.utf8.prefix(longest), as: UTF8.self) + "..."
    }
}

extension ProtocolName {
    /// Whether a server may say goodbye without having been asked (RFC 9051 section 7.1.5, RFC 5804 section 1.3).
    var takesWordsUnasked: Bool {
        switch self {
        case .imap4, .imap4s, .managesieve: true
        case .pop3, .pop3s: false
        }
    }
}
