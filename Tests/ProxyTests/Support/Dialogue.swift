import CLinux
import Glibc
import Loop
import Testing

@testable import Proxy

/// Who logged in, as values that can leave the loop.
struct Login: Equatable, Sendable {
    var name: String
    var password: String

    init(_ name: String, _ password: String) {
        self.name = name
        self.password = password
    }

    init(_ credentials: Credentials) {
        name = credentials.authenticationID.text
        password = credentials.password.withBytes { Array($0) }.text
    }

    var credentials: Credentials {
        Credentials(authenticationID: Array(name.utf8), authorizationID: nil, password: Secret(Array(password.utf8)))
    }
}

/// What a dialogue came to.
struct Outcome: Sendable {
    /// Who logged in; nil where nobody did.
    var login: Login?
    /// Why it ended; nil where somebody logged in.
    var end: SessionEnd?
    /// Everything the other side heard.
    var heard: String
    /// What was read and not used.
    var rest: String
}

/// Plays one end of a dialogue: all it will say is in the socket before the dialogue begins, and what it has heard is
/// looked at when the dialogue is over.
func hold<Value: Sendable>(
    saying input: [UInt8], hangingUp: Bool = true,
    _ body: @escaping @Sendable (isolated Loop, Stream) async throws -> Value
) async throws -> (value: Value, heard: String) {
    try await onLoop { loop in
        let conversation = try Conversation(saying: input, hangingUp: hangingUp, on: loop)
        let value = try await body(loop, conversation.stream)
        return (value, conversation.end())
    }
}

/// A stream whose other end has said all it will say.
final class Conversation {
    /// The end that is tested.
    let stream: Stream
    private let far: Int32

    init(saying input: [UInt8], hangingUp: Bool = true, on loop: isolated Loop) throws {
        let (near, far) = try socketPair()
        self.far = far
        stream = try Stream(near, on: loop)
        var sent = 0
        while sent < input.count {
            let count = input[sent...].withUnsafeBytes { linux_send(far, $0.baseAddress, $0.count) }
            try #require(count > 0, "the test's input fits the socket")
            sent += count
        }
        if hangingUp { shutdown(far, Int32(SHUT_WR)) }
    }

    deinit {
        close(far)
    }

    /// Closes the stream; says what the other end has heard.
    func end() -> String {
        stream.close()
        return read(far)
    }
}

/// Everything that waits in a socket.
func read(_ descriptor: Int32) -> String {
    var heard: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = recv(descriptor, &room, room.count, Int32(MSG_DONTWAIT))
        if count <= 0 { return heard.text }
        heard += room[..<count]
    }
}

/// A client's dialogue up to its login or its end.
func hold(
    _ protocolName: ProtocolName, with set: @escaping @Sendable (inout Options) -> Void = { _ in },
    saying input: String,
    then: @escaping @Sendable (any MailClient) async throws -> Void = { _ in }
) async throws -> Outcome {
    let result = try await hold(saying: Array(input.utf8)) { loop, stream in
        var options = Options()
        options.protocolName = protocolName
        set(&options)
        let client = makeClient(Front(stream: stream, options: options, identity: "ready on me 0", pauseLength: 0))
        do {
            let login = Login(try await client.readCredentials())
            let rest = stream.takeRest().text
            try await then(client)
            return Outcome(login: login, end: nil, heard: "", rest: rest)
        } catch let error as SessionEnd {
            return Outcome(login: nil, end: error, heard: "", rest: stream.takeRest().text)
        }
    }
    var outcome = result.value
    outcome.heard = result.heard
    return outcome
}

func makeClient(_ front: Front) -> any MailClient {
    front.options.protocolName == .imap4 ? IMAP4Client(front) : POP3Client(front)
}
