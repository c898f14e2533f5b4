@testable import Proxy

/// Command lines of clients, literals included.
@Sendable func imap4Client(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let number = Int(input.byte()) & 0x7c
    let outcome = checkClient(bytes, &input, settings[number])
    for login in outcome.logins.map(\.plain) {
        check(number & 64 != 0 || (login.authorization == nil && login.token == nil), "LOGIN has one name")
        let offer = "LITERAL+ SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER"
        let script = "* OK [CAPABILITY \(offer)] hi\r\nflim07 OK done\r\n"
        let sent = playServer([Array(script.utf8)], settings[0], login)
        check(sent.value.answer == Array("OK done".utf8), "every name and password can be sent to a real server")
        let again = playClient([sent.heard], settings[64]).value.logins
        // A quoted string that is sent on as a literal may be longer than literals that clients get to send.
        guard max(login.name.count, login.password.count) <= IMAP4Client.literalLimit,
            (login.credentials.message?.count ?? 0) < LineReader.lineLimit - 64
        else { continue }
        check(again == [login], "LOGIN says what was said")
    }
}

/// What a real server says up to the login, and what it gets to hear.
@Sendable func imap4Server(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let number = Int(input.byte()) & 0x7c
    let setting = settings[number]
    let cut = input.byte()
    var login = Login(name: input.piece(), password: input.piece())
    if number & 64 != 0 { login.token = login.name.count & 1 == 0 ? .xoauth2 : .oauthbearer }
    let results = tellings(input.rest, tornAt: cut).map { playServer($0, setting, login) }
    let (outcome, heard) = results[0]
    for other in results.dropFirst() {
        check(other.value == outcome && other.heard == heard, "the same however the bytes arrive")
    }
    checkServer(outcome)
    check(heard.isEmpty || heard.starts(with: "flim".utf8), "our commands have our tags")
    check(heard.count < 2048, "a bounded conversation")
    if let answer = outcome.answer {
        check(!answer.contains { $0 == 13 || $0 == 10 }, "an answer is one line")
        var reader = LineReader()
        for piece in outcome.untagged.chunks(of: 4096) {
            piece.withUnsafeBytes { reader.append($0) }
            while case .line(let line) = reader.nextLine() {
                check(line.starts(with: "* ".utf8), "untagged lines only")
            }
        }
        check(reader.count == 0, "whole untagged lines")
    }
}

/// The values behind both.
@Sendable func imap4Values(_ bytes: [UInt8]) {
    if let command = try? IMAP4Command(line: bytes) {
        var line = command.tag + [32] + command.name
        if let rest = command.rest { line += [32] + rest }
        check(line.count == bytes.count, "a command is all of its line")
        check(line.map(ASCII.upper) == bytes.map(ASCII.upper), "a command is its line")
    }
    if let (literal, start) = IMAP4Command.literal(atEndOf: bytes) {
        check(literal.size >= 0 && start < bytes.count && bytes[start] == UInt8(ascii: "{"), "a literal is on the line")
    }
    var arguments = IMAP4Arguments(bytes)
    var size = 0
    while !arguments.atEnd {
        guard let argument = arguments.next() else { break }
        size += argument.count
        guard arguments.atEnd || arguments.blank() else { break }
    }
    check(size <= bytes.count, "arguments are a part of their line")

    var input = Input(bytes)
    let tag = input.piece()
    let text = input.rest
    switch IMAP4Response(text, tag: tag) {
    case .completed(let answer), .refused(let answer):
        check(answer.count < text.count && text.suffix(answer.count) == answer[...], "an answer is the end of its line")
        check(IMAP4Response.code(of: answer).map { $0.count < answer.count } ?? true, "a code is a part of its answer")
    case .untagged(let rest): check(rest.count + 2 == text.count, "all behind the star")
    case .continuation, .garbage: break
    }
    for word in IMAP4Response.capabilities(in: text) ?? [] {
        check(!word.isEmpty && !word.contains(32) && word == word.map(ASCII.upper), "words in upper case")
    }
}

extension [UInt8] {
    /// In pieces of at most so many bytes.
    func chunks(of size: Int) -> [[UInt8]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
