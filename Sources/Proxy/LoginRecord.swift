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

    /// Room for most lines, so that building one takes memory once.
    private static let usualLength = 320

    private func appendNames(to line: inout String) {
        line += "authorisation_id="
        if let authorization {
            line += "\""
            line += authorization
            line += "\""
        } else {
            line += "NONE"
        }
        line += " authentication_id=\""
        line += authentication
        line += "\""
    }

    /// The line that programs wait for (manual, POP BEFORE SMTP).
    func authLine(_ status: String, password: String? = nil) -> String {
        var line = ""
        line.reserveCapacity(Self.usualLength)
        line += "Auth: "
        line += route
        line += " client-secure="
        line += clientSecurity.rawValue
        line += " "
        appendNames(to: &line)
        if let password {
            line += " passwd=\""
            line += password
            line += "\""
        }
        line += " server=\""
        line += host ?? "(null)"
        line += ":"
        line += port ?? "(null)"
        line += "\" protocol="
        line += protocolName.logName
        line += " server-secure="
        line += serverSecurity.rawValue
        line += " status=\""
        line += status
        line += "\""
        return line
    }

    /// The last line of a session.
    func closingLine(received: UInt64, sent: UInt64) -> String {
        var line = ""
        line.reserveCapacity(Self.usualLength)
        line += "Closing session: "
        line += route
        line += " "
        appendNames(to: &line)
        line += " received="
        line += String(received)
        line += " sent="
        line += String(sent)
        return line
    }
}
