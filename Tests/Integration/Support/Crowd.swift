import Glibc

/// Many logged-in sessions at once: both their ends, held by one thread.
final class Crowd {
    let port: UInt16
    private let listener: Int32
    private var ends: [(client: MailClient, server: Connection)] = []

    /// A real server that lets everybody in, for `--outgoing_server`.
    init() throws {
        try Crowd.raiseOpenFiles()
        port = try FreePort.next()
        let address = try SocketAddress("127.0.0.1", port)
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        let number = listener
        guard number >= 0, address.with({ bind(number, $0, $1) }) == 0, listen(number, 64) == 0 else {
            throw Failure.system("listen on \(port)")
        }
    }

    deinit {
        close(listener)
    }

    /// Lets more sessions log in through a proxy, one after the other, and keeps them.
    /// - Parameter secure: whether TLS comes first.
    func grow(by count: Int, through proxy: UInt16, as user: String = "joe", secure: Bool = false) throws {
        for _ in 0..<count {
            let client = try MailClient(proxy, secure: secure)
            try client.send("a LOGIN \(user) secret\r\n")
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { throw Failure.system("accept") }
            let server = Connection(descriptor: connection)
            try server.send("* OK [CAPABILITY IMAP4rev1] ready\r\n")
            let tag = try server.line().prefix { $0 != " " }
            try server.send("\(tag) OK in\r\n")
            let answer = try client.line()
            guard answer == Flavour.imap4.success else { throw Failure("instead of a login: \(answer)") }
            ends.append((client, server))
        }
    }

    var count: Int { ends.count }

    /// Sends a line of its own through every session, both ways.
    /// - Returns: How many sessions did not bring it.
    func broken() -> Int {
        ends.enumerated().count { number, ends in
            do {
                try ends.client.send("up \(number)\r\n")
                guard try ends.server.line() == "up \(number)" else { return true }
                try ends.server.send("down \(number)\r\n")
                return try ends.client.line() != "down \(number)"
            } catch {
                return true
            }
        }
    }

    /// Lets everybody go.
    func leave() {
        ends = []
    }

    private static func raiseOpenFiles() throws {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { throw Failure.system("getrlimit") }
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(resource, &limit) == 0 else { throw Failure.system("setrlimit") }
    }
}
