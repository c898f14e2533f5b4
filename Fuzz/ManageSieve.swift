@testable import Proxy

/// Commands of clients, literals included.
@Sendable func manageSieveClient(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let outcome = checkSieveClient(bytes, &input)
    for login in outcome.logins {
        check(!(login.name + (login.authorization ?? [])).hasControls, "names went through SASLprep")
        if let message = login.credentials.message {
            checkSecrecy(ofResponse: message, Array(bytes.dropFirst(2)), outcome.transcript)
        }
        let script = "\"SASL\" \"PLAIN XOAUTH2 OAUTHBEARER\"\r\nOK\r\nOK \"in\"\r\n"
        let sent = playServer([Array(script.utf8)], settings[2], login)
        check(sent.value.answer == Array("OK \"in\"".utf8), "every name and password can be sent to a real server")
        let again = playClient([sent.heard], settings[66]).value.logins
        // In Base64 a message grows by a third, and a literal has its limit.
        guard (login.credentials.message?.count ?? 0) <= ManageSieveTokens.literalLimit else { continue }
        check(again == [login], "AUTHENTICATE says what was said")
    }
}

/// As `checkClient`, for answers whose strings may hold line ends.
private func checkSieveClient(_ bytes: [UInt8], _ input: inout Input) -> ClientOutcome {
    let setting = settings[Int(input.byte()) & 0x7c | 2]
    let cut = input.byte()
    let said = input.rest
    let results = tellings(said, tornAt: cut).map { playClient($0, setting) }
    let (outcome, heard) = results[0]
    for other in results.dropFirst() where outcome.isSteady && other.value.isSteady {
        check(other.heard == heard, "the answers are the same however the bytes arrive")
        check(other.value.logins == outcome.logins, "the logins are the same however the bytes arrive")
    }
    let lines = said.count { $0 == 10 } + 2
    check(heard.count <= said.count * 2 + lines * 1024, "answers are no longer than what asks for them allows")
    for response in responses(heard) {
        guard let kind = response?.kind else { fatalError("property broken: a client can read every answer") }
        check(kind != .garbage, "every answer is one")
    }
    for line in outcome.transcript { check(!line.utf8.hasControls, "no control character in a transcript") }
    return outcome
}

/// What a client makes of the bytes it gets; nil at the end for one that is not whole.
private func responses(_ heard: [UInt8]) -> [ManageSieveResponse?] {
    talk([heard]) { stream in
        var all: [ManageSieveResponse?] = []
        do throws(StreamError) {
            while true {
                var words = ManageSieveTokens(keepsRaw: true)
                var isWhole = false
                while !isWhole {
                    switch words.take(line: try await stream.line()) {
                    case .complete: isWhole = true
                    case .tooLong: return all + [nil]
                    case .literal(let size):
                        guard words.take(literal: try await stream.bytes(size)) else { return all + [nil] }
                    }
                }
                all.append(ManageSieveResponse(words))
            }
        } catch {
            return error == .closed && stream.waiting == 0 ? all : all + [nil]
        }
    }.value
}

/// What a real server says up to the login, and what it gets to hear.
@Sendable func manageSieveServer(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let number = Int(input.byte()) & 0x7c | 2
    let setting = settings[number]
    let cut = input.byte()
    var login = Login(name: input.piece(), authorization: input.piece(), password: input.piece())
    if number & 64 != 0 { login.token = login.name.count & 1 == 0 ? .xoauth2 : .oauthbearer }
    let results = tellings(input.rest, tornAt: cut).map { playServer($0, setting, login) }
    let (outcome, heard) = results[0]
    for other in results.dropFirst() {
        check(other.value == outcome && other.heard == heard, "the same however the bytes arrive")
    }
    checkServer(outcome)
    checkLines(heard)
    check(heard.count < 2048, "a bounded conversation")
    guard let answer = outcome.answer else { return }
    // What is passed on with --server_resp_line must mean to the client what it meant to us.
    let read = responses(answer + [13, 10])
    check(read.count == 1 && read[0]?.kind == .ok && read[0]?.raw == answer, "an answer is read again as it is")
}

/// The values behind both.
@Sendable func manageSieveValues(_ bytes: [UInt8]) {
    let written = ManageSieveTokens.string(bytes)
    let read = responses(written + [13, 10])
    if bytes.count <= ManageSieveTokens.literalLimit {
        check(read.count == 1 && read[0]?.kind == .data([bytes]), "a string is read as it was written")
    }

    var words = ManageSieveTokens(keepsRaw: true)
    var size = 0
    for line in bytes.split(separator: 10, omittingEmptySubsequences: false) {
        let step = words.take(line: Array(line))
        guard case .literal(let count) = step else { break }
        size += count
        check(count <= ManageSieveTokens.literalLimit, "a bounded literal")
        guard words.take(literal: [UInt8](repeating: 120, count: count)) else { break }
    }
    let length = words.tokens.reduce(0) { sum, token in
        switch token {
        case .atom(let text), .string(let text): sum + text.count
        case .open, .close: sum + 1
        }
    }
    check(length <= bytes.count + size && words.raw.count <= ManageSieveTokens.limit * 2, "words are what was given")
    let command = ManageSieveCommand(words)
    check(command.strings == nil || command.strings?.count == command.arguments.count, "strings are arguments")
    check(ManageSieveResponse(words).raw == words.raw, "a response keeps what was said")
}
