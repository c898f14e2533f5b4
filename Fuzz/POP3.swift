@testable import Proxy

/// Command lines of clients.
@Sendable func pop3Client(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let outcome = checkClient(bytes, &input, settings[Int(input.byte()) & 0x3c | 1])
    for login in outcome.logins {
        check(!login.name.contains { $0 == 13 || $0 == 10 || $0 == 32 } && !login.name.isEmpty, "a name is a word")
        check(!login.password.contains { $0 == 13 || $0 == 10 }, "a password is on one line")
        let sent = playServer([Array("+OK hi\r\n+OK\r\n+OK in\r\n".utf8)], settings[1], login)
        check(sent.value.answer == Array("+OK in".utf8), "every name and password can be sent to a real server")
        guard max(login.name.count, login.password.count) < LineReader.lineLimit - 8 else { continue }
        check(playClient([sent.heard], settings[1]).value.logins == [login], "USER and PASS say what was said")
    }
}

/// What a real server says up to the login, and what it gets to hear.
@Sendable func pop3Server(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let setting = settings[Int(input.byte()) & 0x3c | 1]
    let cut = input.byte()
    // Clients of POP3 cannot give a password with a line end in it; a name may come from a popmap.
    let login = Login(name: input.piece(), password: input.piece().filter { $0 != 10 && $0 != 13 && $0 != 0 })
    let results = tellings(input.rest, tornAt: cut).map { playServer($0, setting, login) }
    let (outcome, heard) = results[0]
    for other in results.dropFirst() {
        check(other.value == outcome && other.heard == heard, "the same however the bytes arrive")
    }
    checkServer(outcome)
    checkLines(heard)
    check(heard.count { $0 == 10 } <= 5, "at most CAPA, STLS, USER, PASS and QUIT")
    if let answer = outcome.answer {
        check(!answer.contains { $0 == 13 || $0 == 10 }, "an answer is one line")
        check(outcome.untagged.isEmpty, "nothing ahead of the answer")
        check(heard.suffix(login.password.count + 2) == (login.password + [13, 10])[...], "the password as it is")
    }
}
