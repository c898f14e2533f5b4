/// What the log keeps of a login for as long as its session lasts: the same fields stand in several lines.
struct LoginRecord {
    /// `A->B`.
    let route: String
    /// `authorisation_id=… authentication_id=…`.
    let names: String
    /// How the client is connected.
    let clientSecurity: Security
    /// `server=… protocol=… server-secure=…`.
    let server: String

    /// The line that programs wait for (manual, POP BEFORE SMTP).
    func authLine(_ status: String, password: String? = nil) -> String {
        let shown = password.map { " passwd=\"\($0)\"" } ?? ""
        return "Auth: \(route) client-secure=\(clientSecurity.rawValue) \(names)\(shown) \(server) status=\"\(status)\""
    }

    /// The last line of a session.
    func closingLine(received: UInt64, sent: UInt64) -> String {
        "Closing session: \(route) \(names) received=\(received) sent=\(sent)"
    }
}
