import Logging

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

    /// The name whose mailbox it is.
    var user: String {
        guard let authorization, !authorization.isEmpty else { return authentication }
        return authorization
    }
    /// The real server with its port, as configured.
    var server: String { "\(host ?? "-"):\(port ?? "-")" }

    /// Bytes of everything in a line that is not one of the fields.
    private static let words = 192

    private var length: Int {
        Self.words + route.utf8.count + authentication.utf8.count + (authorization?.utf8.count ?? 0)
            + (host?.utf8.count ?? 0) + (port?.utf8.count ?? 0)
    }

    private func appendNames(to line: inout LineText) {
        line.append("authorisation_id=")
        if let authorization {
            line.append("\"")
            line.append(authorization)
            line.append("\"")
        } else {
            line.append("NONE")
        }
        line.append(" authentication_id=\"")
        line.append(authentication)
        line.append("\"")
    }

    /// Writes the line that programs wait for (manual, POP BEFORE SMTP).
    func writeAuth(_ status: String, password: String? = nil, to log: LineLog) {
        log.write(.notice, capacity: length + status.utf8.count + (password?.utf8.count ?? 0)) { line in
            line.append("Auth: ")
            line.append(route)
            line.append(" client-secure=")
            line.append(clientSecurity.rawValue)
            line.append(" ")
            appendNames(to: &line)
            if let password {
                line.append(" passwd=\"")
                line.append(password)
                line.append("\"")
            }
            line.append(" server=\"")
            line.append(host ?? "(null)")
            line.append(":")
            line.append(port ?? "(null)")
            line.append("\" protocol=")
            line.append(protocolName.logName)
            line.append(" server-secure=")
            line.append(serverSecurity.rawValue)
            line.append(" status=\"")
            line.append(status)
            line.append("\"")
        }
    }

    /// Writes the last line of a session.
    func writeClosing(received: UInt64, sent: UInt64, to log: LineLog) {
        log.write(.info, capacity: length) { line in
            line.append("Closing session: ")
            line.append(route)
            line.append(" ")
            appendNames(to: &line)
            line.append(" received=")
            line.append(received)
            line.append(" sent=")
            line.append(sent)
        }
    }
}
