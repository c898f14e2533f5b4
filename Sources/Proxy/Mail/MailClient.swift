/// Why a session ended before its login.
enum SessionEnd: Error, Equatable {
    /// LOGOUT or QUIT; the client has its answer.
    case loggedOut
    /// The client was sent away, and told so in these words.
    case dismissed(String)
    /// The client's connection is no use any more.
    case client(StreamError)
    /// The client's TLS handshake did not succeed.
    case handshake(Security, StreamError)
}

/// The half of a protocol that faces the user's mail program, up to its login. It answers by itself whatever needs no
/// real server.
protocol MailClient: AnyObject {
    /// The client's stream, and what all protocols do with it.
    var front: Front { get }
    /// Sends away a client whose bytes can no longer be told apart.
    func hangUp(_ text: String) async throws(SessionEnd) -> Never
    /// Sends the greeting.
    func greet() async throws(SessionEnd)
    /// Talks until the client has given a name and a password.
    func readCredentials() async throws(SessionEnd) -> Credentials
    /// Tells the client that its login failed; it may try again.
    func refuse(_ refusal: Refusal) async throws(SessionEnd)
    /// Tells the client that it is logged in.
    func accept(_ login: AcceptedLogin) async throws(SessionEnd)
    /// What the client hears last when its session was idle for `--timeout`; nil for nothing.
    var idleFarewell: [UInt8]? { get }
    /// How many proxies this login may pass, counting this one.
    var hops: Int { get }
}

extension MailClient {
    var idleFarewell: [UInt8]? { nil }
    var hops: Int { ClientFacts.mostHops }

    /// The next line; there is no way on behind one that has no end.
    func readLine() async throws(SessionEnd) -> [UInt8] {
        do throws(SessionEnd) {
            return try await front.line()
        } catch {
            if error == .client(.lineTooLong) { try await hangUp("Line too long, mate") }
            throw error
        }
    }

    /// The exchange of AUTHENTICATE and AUTH, as ``Front/authenticate(_:)`` has it, where the same holds for lines.
    func exchange(_ argument: [UInt8]) async throws(SessionEnd) -> SASLOutcome {
        do throws(SessionEnd) {
            return try await front.authenticate(argument)
        } catch {
            if error == .client(.lineTooLong) { try await hangUp("Line too long, mate") }
            throw error
        }
    }
}

/// What the real server said when it accepted the login.
struct AcceptedLogin {
    /// Its response without tag and status, for `--server_resp_line`.
    var answer: [UInt8]
    /// Whole lines that came ahead of it and belong to the client (IMAP4 untagged responses).
    var untagged: [UInt8] = []
}

/// The half of a protocol that faces the real server, up to the login.
protocol MailServer: AnyObject {
    /// Reads the greeting, makes the connection private where that is asked for.
    func open() async throws(ServerError)
    /// Logs in.
    func logIn(_ credentials: Credentials) async throws(ServerError) -> AcceptedLogin
    /// Has the server list what it can do, for who watches the conversation.
    func listCapabilities() async throws(ServerError)
    /// Says goodbye after a refused login; best effort.
    func quit() async
}

/// Why the real server cannot be used for this login.
enum ServerError: Error, Equatable {
    /// A reason to tell the client.
    case refused(Refusal)
    /// Something out of order, described for the log; the client hears of a negotiation failure.
    case broken(String)

    /// What the client hears.
    var refusal: Refusal {
        switch self {
        case .refused(let refusal): refusal
        case .broken: .negotiation
        }
    }
}
