import Testing

/// What a real server can do wrong while somebody logs in.
struct Fault: Sendable, CustomTestStringConvertible {
    let name: String
    let flavour: Flavour
    let talk: FakeServer.Talk

    var testDescription: String { "\(flavour.rawValue): \(name)" }

    static let all: [Fault] = Flavour.allCases.flatMap(anywhere) + imap4 + pop3

    private static func anywhere(_ flavour: Flavour) -> [Fault] {
        let hello = flavour == .imap4 ? "* OK ready" : "+OK ready"
        return [
            Fault(name: "hangs up at once", flavour: flavour) { _ in },
            Fault(name: "hangs up after its greeting", flavour: flavour) { try $0.say(hello) },
            Fault(name: "hangs up in the middle of its greeting", flavour: flavour) { try $0.send("* O") },
            Fault(name: "resets the connection", flavour: flavour) {
                try $0.say(hello)
                _ = try $0.line()
                $0.reset()
            },
            Fault(name: "hangs up after the first command", flavour: flavour) {
                try $0.say(hello)
                _ = try $0.line()
            },
            Fault(name: "greets with garbage", flavour: flavour) {
                try $0.send((0..<2000).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) } + [13, 10])
                try $0.waitForEnd()
            },
            Fault(name: "greets with NUL bytes", flavour: flavour) {
                try $0.send([0, 0, 0, 0, 13, 10])
                try $0.waitForEnd()
            },
            Fault(name: "speaks another protocol", flavour: flavour) {
                try $0.say("220 mail.example.org ESMTP")
                try $0.waitForEnd()
            },
            Fault(name: "never ends its line", flavour: flavour) {
                let much = [UInt8](repeating: 120, count: 65536)
                for _ in 0..<160 { try $0.send(much) }
                try $0.waitForEnd()
            },
        ]
    }

    private static let imap4 = [
        Fault(name: "answers with a tag nobody used", flavour: .imap4) {
            try $0.say("* OK ready")
            _ = try $0.line()
            try $0.say("zzzz OK done")
            try $0.waitForEnd()
        },
        Fault(name: "hangs up when it has the password", flavour: .imap4) { session in
            try session.say("* OK ready")
            while let (tag, words) = try session.imapCommand() {
                if words.first == "LOGIN" { return }
                try session.say("* CAPABILITY IMAP4rev1\r\n\(tag) OK")
            }
        },
        Fault(name: "says BYE instead of an answer", flavour: .imap4) { session in
            try session.say("* OK ready")
            while let (tag, words) = try session.imapCommand() {
                if words.first == "LOGIN" { return try session.say("* BYE out of memory") }
                try session.say("* CAPABILITY IMAP4rev1\r\n\(tag) OK")
            }
        },
        Fault(name: "answers with untagged lines without end", flavour: .imap4) { session in
            try session.say("* OK ready")
            while let (tag, words) = try session.imapCommand() {
                if words.first == "LOGIN" {
                    let line = Array("* \(String(repeating: "x", count: 998))\r\n".utf8)
                    let lines = [UInt8]((0..<64).map { _ in line }.joined())
                    for _ in 0..<160 { try session.send(lines) }
                    return try session.waitForEnd()
                }
                try session.say("* CAPABILITY IMAP4rev1\r\n\(tag) OK")
            }
        },
    ]

    private static let pop3 = [
        Fault(name: "hangs up when it has the password", flavour: .pop3) {
            try $0.say("+OK ready")
            try $0.refuseCAPA()
            _ = try $0.line()
            try $0.say("+OK")
            _ = try $0.line()
        },
        Fault(name: "answers neither yes nor no", flavour: .pop3) {
            try $0.say("+OK ready")
            try $0.refuseCAPA()
            _ = try $0.line()
            try $0.say("perhaps")
            try $0.waitForEnd()
        },
    ]
}
