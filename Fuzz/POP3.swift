@testable import Proxy

/// Command lines of clients.
@Sendable func pop3Client(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let number = Int(input.byte()) & 0x7c | 1
    let outcome = checkClient(bytes, &input, settings[number])
    for login in outcome.logins.map(\.plain) {
        check(!login.name.contains { $0 == 13 || $0 == 10 } && !login.name.isEmpty, "a name is on one line")
        if number & 64 == 0 {
            check(!login.name.contains(32), "a name is a word")
            check(login.token == nil && login.authorization == nil, "USER has one name")
            check(!login.password.contains { $0 == 13 || $0 == 10 }, "a password is on one line")
        }
        let usesAUTH = login.token != nil || login.authorization != nil
        let sent = playServer([Array(realServer(for: login, usesAUTH: usesAUTH).utf8)], settings[1], login)
        guard usesAUTH || !login.password.contains(where: { $0 == 13 || $0 == 10 }) else {
            check(sent.heard == Array("QUIT\r\n".utf8), "a password with a line end is not sent")
            continue
        }
        check(sent.value.answer == Array("+OK in".utf8), "every name and password can be sent to a real server")
        guard max(login.name.count, login.password.count) < LineReader.lineLimit - 8,
            (login.credentials.message?.count ?? 0) < LineReader.lineLimit - 64,
            usesAUTH || !login.name.contains(32)
        else { continue }
        check(playClient([sent.heard], settings[65]).value.logins == [login], "USER, PASS, AUTH say what was said")
    }
}

/// What a real server says up to the login, and what it gets to hear.
@Sendable func pop3Server(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let first = input.byte()
    let number = Int(first) & 0x7c | 1
    let remembered: Remembered =
        switch first & 3 {
        case 0: .never
        case 1: .nothing
        case 2: .way(.together)
        default: .way(.plain(isProven: first & 128 != 0))
        }
    let setting = settings[number]
    let cut = input.byte()
    // Clients of POP3 cannot give a password with a line end in it; a name may come from a popmap.
    var login = Login(name: input.piece(), password: input.piece().filter { $0 != 10 && $0 != 13 && $0 != 0 })
    if number & 64 != 0, login.name.count & 2 == 0 {
        login.token = login.name.count & 1 == 0 ? .xoauth2 : .oauthbearer
    }
    let results = tellings(input.rest, tornAt: cut).map { playServer($0, setting, login, remembered: remembered) }
    let (outcome, heard) = results[0]
    for other in results.dropFirst() {
        check(other.value == outcome && other.heard == heard, "the same however the bytes arrive")
    }
    checkServer(outcome)
    checkLines(heard)
    check(heard.count { $0 == 10 } <= 9, "at most CAPA, STLS, USER, PASS, two AUTH with their responses, and QUIT")
    if let answer = outcome.answer {
        check(!answer.contains { $0 == 13 || $0 == 10 }, "an answer is one line")
        check(outcome.untagged.isEmpty, "nothing ahead of the answer")
        guard number & 64 == 0 else { return }
        let message = (login.credentials.message ?? []) + [13, 10]
        check(
            heard.suffix(login.password.count + 2) == (login.password + [13, 10])[...]
                || first & 3 != 0 && heard.suffix(message.count) == message[...],
            "the password as it is")
    }
}

/// A real server that takes anything, as far as it gets to speak.
private func realServer(for login: Login, usesAUTH: Bool) -> String {
    guard usesAUTH else { return "+OK hi\r\n+OK\r\n+OK in\r\n" }
    let command = "AUTH \(login.token?.rawValue ?? "PLAIN") \r\n".utf8.count + (login.credentials.message?.count ?? 0)
    let asks = command > POP3Server.commandLimit ? "+ \r\n" : ""
    return "+OK hi\r\n+OK\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\n.\r\n\(asks)+OK in\r\n"
}
