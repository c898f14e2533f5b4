import Glibc

extension FakeServer {
    /// An IMAP4 or POP3 server with the given users and their passwords.
    ///
    /// - Parameters:
    ///   - users: Nil lets everybody in.
    ///   - label: Told in the answer to a login, so that a client knows where it is.
    ///   - whenLoggedIn: What happens after a login; by default it answers `LOGOUT`/`QUIT` and repeats everything else.
    static func mail(
        _ flavour: Flavour, users: [String: String]? = ["joe": "secret"], label: String = "fake",
        host: String = "127.0.0.1", whenLoggedIn: Talk? = nil
    ) throws -> FakeServer {
        try FakeServer(host: host) { session in
            switch flavour {
            case .imap4: try session.serveIMAP4(users, label: label, whenLoggedIn)
            case .pop3: try session.servePOP3(users, label: label, whenLoggedIn)
            }
        }
    }
}

extension FakeSession {
    /// The dialogue of an IMAP4 server until the proxy goes.
    func serveIMAP4(_ users: [String: String]?, label: String, _ whenLoggedIn: FakeServer.Talk?) throws {
        try say("* OK [CAPABILITY IMAP4rev1] \(label) at your service")
        while let (tag, words) = try imapCommand() {
            switch words.first?.uppercased() {
            case "CAPABILITY":
                try say("* CAPABILITY IMAP4rev1")
                try say("\(tag) OK here they are")
            case "LOGIN" where words.count == 3:
                note(user: words[1], password: words[2])
                guard users.map({ $0[words[1]] == words[2] }) ?? true else {
                    try say("\(tag) NO [AUTHENTICATIONFAILED] \(label) does not know you")
                    continue
                }
                try say("\(tag) OK [CAPABILITY IMAP4rev1 IDLE] \(label) knows you")
                return try (whenLoggedIn ?? FakeSession.repeatLines)(self)
            case "LOGOUT":
                try say("* BYE")
                return try say("\(tag) OK gone")
            default:
                try say("\(tag) BAD what")
            }
        }
    }

    /// One IMAP4 command with its literals, split into words.
    func imapCommand() throws -> (tag: String, words: [String])? {
        var words: [String] = []
        var isFirst = true
        while true {
            guard var line = try lineOrEnd(within: 60) else { return nil }
            var literal: Int?
            if line.hasSuffix("}"), let open = line.lastIndex(of: "{") {
                let number = line[line.index(after: open)...].dropLast()
                literal = Int(number.hasSuffix("+") ? number.dropLast() : number)
                line = String(line[..<open])
                if !number.hasSuffix("+") { try say("+ go on") }
            }
            words += FakeSession.words(line)
            isFirst = false
            guard let literal else { break }
            words.append(String(decoding: try bytes(literal), as: UTF8.self))
        }
        guard !isFirst, let tag = words.first else { return ("*", []) }
        return (tag, Array(words.dropFirst()))
    }

    /// The dialogue of a POP3 server until the proxy goes.
    func servePOP3(_ users: [String: String]?, label: String, _ whenLoggedIn: FakeServer.Talk?) throws {
        try say("+OK \(label) at your service")
        var user = ""
        while let line = try lineOrEnd(within: 60) {
            let command = line.prefix(4).uppercased()
            let argument = String(line.dropFirst(5))
            switch command {
            case "USER":
                user = argument
                try say("+OK go on")
            case "PASS":
                note(user: user, password: argument)
                guard users.map({ $0[user] == argument }) ?? true else {
                    try say("-ERR [AUTH] \(label) does not know you")
                    continue
                }
                try say("+OK \(label) knows you")
                return try (whenLoggedIn ?? FakeSession.repeatLines)(self)
            case "CAPA":
                for line in ["+OK", "USER", "."] { try say(line) }
            case "QUIT":
                return try say("+OK gone")
            default:
                try say("-ERR what")
            }
        }
    }

    /// Answers what a proxy asks a POP3 server ahead of the first login.
    func refuseCAPA() throws {
        guard try line() == "CAPA" else { throw Failure("somebody did not ask for CAPA first") }
        try say("-ERR no such command")
    }

    /// The dialogue of a ManageSieve server that lets everybody in; notes the Base64 of each login as its user.
    func serveManageSieve(whenLoggedIn: FakeServer.Talk? = nil) throws {
        for line in ["\"SASL\" \"PLAIN\"", "OK \"at your service\""] { try say(line) }
        while let line = try lineOrEnd(within: 60) {
            guard line.hasPrefix("AUTHENTICATE \"PLAIN\" \"") else { return try say("OK \"gone\"") }
            note(user: String(line.dropFirst(22).dropLast()), password: "")
            try say("OK \"in\"")
            return try (whenLoggedIn ?? FakeSession.repeatLines)(self)
        }
    }

    /// Repeats each line after `you said `, until LOGOUT or QUIT.
    static let repeatLines: FakeServer.Talk = { session in
        while let line = try session.lineOrEnd(within: 120) {
            if line.uppercased() == "QUIT" || line.uppercased().hasSuffix(" LOGOUT") { return try session.say("bye") }
            try session.say("you said \(line)")
        }
    }

    /// Words between blanks; quotes taken off, `\x` is `x`.
    private static func words(_ line: String) -> [String] {
        var words: [String] = []
        var word: String?
        var quoted = false
        var escaped = false
        for character in line {
            if escaped {
                word = (word ?? "") + String(character)
                escaped = false
            } else if quoted && character == "\\" {
                escaped = true
            } else if character == "\"" {
                quoted.toggle()
                word = word ?? ""
            } else if character == " " && !quoted {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let word { words.append(word) }
        return words
    }
}
