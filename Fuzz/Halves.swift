import Loop

@testable import Proxy

/// The settings that change what a dialogue says, by a number.
let settings: [Settings] = (0..<128).map { number in
    var options = Options()
    options.protocolName = [.imap4, .pop3, .managesieve, .imap4][number & 3]
    options.serverRespLine = number & 4 != 0
    options.loginDisabled = number & 8 != 0
    if number & 16 != 0 { options.sslMode = [.tlsListen, .tlsOutgoing] }
    if number & 32 != 0 { options.sslMode = [.tlsListenForce, .tlsOutgoingForce] }
    if number & 64 != 0 { options.saslMechanisms = Mechanism.allCases }
    return Settings(options)
}

/// Whose name and password a dialogue has heard, as values that can leave the loop.
struct Login: Sendable, Equatable {
    var name: [UInt8]
    var authorization: [UInt8]?
    var password: [UInt8]
    var token: Mechanism?

    init(_ credentials: Credentials) {
        name = credentials.authenticationID
        authorization = credentials.authorizationID
        password = credentials.password.withBytes { Array($0) }
        token = credentials.token
    }

    init(name: [UInt8], authorization: [UInt8]? = nil, password: [UInt8], token: Mechanism? = nil) {
        self.name = name
        self.authorization = authorization
        self.password = password
        self.token = token
    }

    /// The same where acting for oneself is nothing special.
    var plain: Login {
        var login = self
        if authorization == name { login.authorization = nil }
        return login
    }

    var credentials: Credentials {
        Credentials(
            authenticationID: name, authorizationID: authorization, password: Secret(password), token: token)
    }
}

/// What a client's dialogue came to.
struct ClientOutcome: Sendable, Equatable {
    var logins: [Login] = []
    var end: SessionEnd?
    /// What `--connection_logging` would have written.
    var transcript: [String] = []

    /// Whether all bytes are heard as they come. A client that says too much, or something behind STARTTLS, is treated
    /// by what has arrived until then.
    var isSteady: Bool {
        switch end {
        case .dismissed, .client(.failed): false
        default: true
        }
    }
}

/// Plays a client whose every login is refused, until it is gone.
func playClient(
    _ pieces: [[UInt8]], _ settings: Settings, answer: [UInt8] = []
) -> (value: ClientOutcome, heard: [UInt8]) {
    talk(pieces) { stream in
        var outcome = ClientOutcome()
        let front = Front(stream: stream, settings: settings, identity: "ready on me 0", pauseLength: 0)
        let client: any MailClient =
            switch settings.options.protocolName {
            case .imap4, .imap4s: IMAP4Client(front)
            case .pop3, .pop3s: POP3Client(front)
            case .managesieve: ManageSieveClient(front)
            }
        let lines = Lines()
        var transcript = Transcript("CLIENT", masks: true)
        stream.transcript = { sent, bytes in lines.all.append(transcript.line(sent: sent, bytes)) }
        do throws(SessionEnd) {
            try await client.greet()
            while true {
                let login = Login(try await client.readCredentials())
                outcome.logins.append(login)
                try await client.refuse(
                    Refusal.authentication(answer: answer).explained(by: login.token.map { _ in Array("e30=".utf8) }))
            }
        } catch {
            outcome.end = error
        }
        outcome.transcript = lines.all
        stream.transcript = nil
        return outcome
    }
}

private final class Lines {
    var all: [String] = []
}

/// What a real server's dialogue came to.
struct ServerOutcome: Sendable, Equatable {
    var answer: [UInt8]?
    var untagged: [UInt8] = []
    var error: ServerError?
}

/// What is remembered of a real server of POP3.
enum Remembered: Sendable {
    /// Nothing, and it is not asked.
    case never
    /// Nothing yet.
    case nothing
    case way(POP3Way)
}

/// Plays a real server up to the answer to a login.
func playServer(
    _ pieces: [[UInt8]], _ settings: Settings, _ login: Login, remembered: Remembered = .never
) -> (value: ServerOutcome, heard: [UInt8]) {
    talk(pieces) { stream in
        var outcome = ServerOutcome()
        guard let address = SocketAddress(host: "127.0.0.1", port: 143) else { fatalError("no address") }
        var memory: CapabilityMemory?
        if case .never = remembered {} else { memory = CapabilityMemory(stream.channel.thread) }
        let back = Back(
            stream: stream, settings: settings, identity: "ready on me 0", host: "mail", address: address,
            memory: memory)
        if case .way(let way) = remembered { memory?.remember(way, to: back.remembered, for: POP3Way.lifetime) }
        let server: any MailServer =
            switch settings.options.protocolName {
            case .imap4, .imap4s: IMAP4Server(back)
            case .pop3, .pop3s: POP3Server(back)
            case .managesieve: ManageSieveServer(back)
            }
        do throws(ServerError) {
            try await server.open()
            let accepted = try await server.logIn(login.credentials)
            outcome.answer = accepted.answer
            outcome.untagged = accepted.untagged
        } catch {
            outcome.error = error
            if case .refused = error { await server.quit() }
        }
        return outcome
    }
}

/// Checks what holds for every client's dialogue, and that it does not matter how the bytes arrive.
func checkClient(_ bytes: [UInt8], _ input: inout Input, _ settings: Settings) -> ClientOutcome {
    let cut = input.byte()
    let said = input.rest
    let results = tellings(said, tornAt: cut).map { playClient($0, settings) }
    let (outcome, heard) = results[0]
    for other in results.dropFirst() where outcome.isSteady && other.value.isSteady {
        check(other.heard == heard, "the answers are the same however the bytes arrive")
        check(other.value.logins == outcome.logins, "the logins are the same however the bytes arrive")
    }
    checkLines(heard)
    // A reply for each line, of no more than the line itself, the longest list of capabilities and some words.
    let lines = said.count { $0 == 10 } + 2
    check(heard.count <= said.count * 2 + lines * 1024, "answers are no longer than what asks for them allows")
    check(outcome.logins.count <= lines, "a login takes a line")
    for login in outcome.logins {
        check(!login.password.contains(0) && !login.name.contains(0), "no NUL in names and passwords")
        check(login.password.count <= LineReader.lineLimit && login.name.count <= LineReader.lineLimit, "bounded names")
        if settings.options.saslMechanisms.isEmpty {
            checkSecrecy(login.password, said, outcome.transcript)
        } else if let message = login.credentials.message {
            checkSecrecy(ofResponse: message, said, outcome.transcript)
        }
    }
    for line in outcome.transcript { check(!line.utf8.hasControls, "no control character in a transcript") }
    return outcome
}

/// The same of an initial response. Its letters may as well stand in a line that is no login, and the login have come by
/// another mechanism: only lines with AUTHENTICATE or AUTH count.
func checkSecrecy(ofResponse response: [UInt8], _ said: [UInt8], _ transcript: [String]) {
    let begins = said.split(separator: 10).contains { line in
        guard line.filter({ $0 != 13 }).occurrences(of: response) > 0 else { return false }
        let words = line.split(separator: 32, maxSplits: 2, omittingEmptySubsequences: false)
        return words.prefix(2).contains { ASCII.equal($0, "AUTHENTICATE") || ASCII.equal($0, "AUTH") }
    }
    if begins { checkSecrecy(response, said, transcript) }
}

/// A password that stood once in all that the client said is in no line of the transcript. CRs do not count, as lines are
/// read without.
func checkSecrecy(_ secret: [UInt8], _ said: [UInt8], _ transcript: [String]) {
    guard secret.count >= 6, secret.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c }),
        said.filter({ $0 != 13 }).occurrences(of: secret) == 1
    else { return }
    // What we say ourselves may have the same letters in it.
    let lines = transcript.filter { $0.hasPrefix("CLIENT") }
    check(!lines.contains { $0.utf8.occurrences(of: secret) > 0 }, "no password in a transcript")
}

/// Every line ends with CR LF, and there is no CR, LF or NUL elsewhere.
func checkLines(_ heard: [UInt8]) {
    check(heard.isEmpty || heard.suffix(2) == [13, 10], "the last line has its end")
    for (index, byte) in heard.enumerated() {
        check(byte != 0, "no NUL on a line")
        if byte == 13 { check(index + 1 < heard.count && heard[index + 1] == 10, "no CR alone") }
        if byte == 10 { check(index > 0 && heard[index - 1] == 13, "no LF alone") }
    }
}

/// What holds for everything a real server can bring about.
func checkServer(_ outcome: ServerOutcome) {
    check((outcome.answer == nil) != (outcome.error == nil), "an answer or a reason")
    check(outcome.untagged.count <= IMAP4Server.untaggedLimit + LineReader.lineLimit, "bounded untagged responses")
    if case .broken(let text) = outcome.error {
        check(!text.utf8.hasControls && text.utf8.count < 1024, "a reason fits the log")
    }
    if case .refused(let refusal) = outcome.error, let answer = refusal.answer {
        check(answer.count <= LineReader.lineLimit + ManageSieveTokens.limit, "a bounded refusal")
    }
}
