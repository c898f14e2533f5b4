/// What the log keeps of a login for as long as its session lasts: the same fields stand in several lines.
///
/// In parts, most of which are short enough to need no memory of their own: a session holds them for hours.
struct LoginRecord {
    /// `A->B`.
    let route: String
    /// The name whose password it was, as log lines show it.
    let authentication: String
    /// The name to act as, where the client gave one.
    let authorization: String?
    /// The real server; nil where it never became known.
    let host: String?
    /// Its port, as configured.
    let port: String?
    /// How the client is connected.
    let clientSecurity: Security
    /// How the real server is.
    let serverSecurity: Security
    /// What the program was started for.
    let protocolName: ProtocolName

    private var names: String {
        let authorization = authorization.map { "\"\($0)\"" } ?? "NONE"
        return "authorisation_id=\(authorization) authentication_id=\"\(authentication)\""
    }

    /// The line that programs wait for (manual, POP BEFORE SMTP).
    func authLine(_ status: String, password: String? = nil) -> String {
        let shown = password.map { " passwd=\"\($0)\"" } ?? ""
        return """
            Auth: \(route) client-secure=\(clientSecurity.rawValue) \(names)\(shown) \
            server="\(host ?? "(null)"):\(port ?? "(null)")" protocol=\(protocolName.logName) \
            server-secure=\(serverSecurity.rawValue) status="\(status)"
            """
    }

    /// The last line of a session.
    func closingLine(received: UInt64, sent: UInt64) -> String {
        "Closing session: \(route) \(names) received=\(received) sent=\(sent)"
    }
}
