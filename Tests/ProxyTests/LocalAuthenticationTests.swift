import Authentication
import CLinux
import Foundation
import Glibc
import Loop
import Synchronization
import Testing

@testable import Proxy

/// The way to the helper of `--authenticate_in`, with a helper that does as it is told.
@Suite struct LocalAuthenticationTests {
    /// What the helper does with one connection.
    enum Turn: Sendable {
        case say(String), hangUp, keepSilent
    }

    /// A Unix socket whose connections are served in turn, the last way for all that follow.
    final class Helper: Sendable {
        let directory: String
        let requests = Mutex<[[UInt8]]>([])
        private let listener: Int32

        init(_ turns: [Turn]) throws {
            var template = Array("/tmp/auth.XXXXXX".utf8CString)
            try #require(mkdtemp(&template) != nil)
            directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            listener = try Listening.openUnix("\(directory)/auth")
            _ = linux_fcntl(listener, F_SETFL, linux_fcntl(listener, F_GETFL, 0) & ~O_NONBLOCK)
            Thread.detachNewThread { [self] in
                var next = turns[...]
                var held: [Int32] = []
                while true {
                    let connection = Glibc.accept(listener, nil, nil)
                    guard connection >= 0 else { break }
                    let turn = next.count > 1 ? next.removeFirst() : next[next.startIndex]
                    if case .hangUp = turn {
                        Glibc.close(connection)
                        continue
                    }
                    if let request = read(connection) { requests.withLock { $0.append(request) } }
                    if case .say(let text) = turn {
                        _ = text.withCString { linux_send(connection, $0, strlen($0)) }
                        Glibc.close(connection)
                    } else {
                        held.append(connection)
                    }
                }
                for connection in held { Glibc.close(connection) }
            }
        }

        private func read(_ connection: Int32) -> [UInt8]? {
            var bytes: [UInt8] = []
            while true {
                switch bytes.withUnsafeBytes({ AuthenticationRequest.parse($0) }) {
                case .complete: return bytes
                case .malformed: return nil
                case .incomplete:
                    var room = [UInt8](repeating: 0, count: 4096)
                    let count = recv(connection, &room, room.count, 0)
                    guard count > 0 else { return nil }
                    bytes += room[..<count]
                }
            }
        }

        deinit { close(listener) }

        /// Wakes the thread, which holds the helper, and removes the socket.
        func stop() {
            shutdown(listener, Int32(SHUT_RDWR))
            try? FileManager.default.removeItem(atPath: directory)
        }

        func check(patience: UInt64 = 20_000, user: [UInt8] = Array("joe".utf8)) async throws -> AuthenticationVerdict {
            let path = "\(directory)/auth"
            let thread = try LoopThread()
            try thread.start(name: "test loop")
            defer { thread.stop() }
            let loop = Loop(thread)
            return await withCheckedContinuation { continuation in
                loop.start { loop in
                    let way = LocalAuthentication(path: path, on: loop.thread, patience: patience)
                    let password = Secret(Array("secret".utf8))
                    continuation.resume(returning: await way.check(user: user, password: password, client: "10.0.0.7"))
                }
            }
        }
    }

    @Test(arguments: [
        ("2:OK,", AuthenticationVerdict.accepted), ("4:NO 0,", .refused(delay: 0)),
        ("9:TEMP down,", .unavailable("down")),
    ])
    func answersArriveAsGiven(_ text: String, _ verdict: AuthenticationVerdict) async throws {
        let helper = try Helper([.say(text)])
        defer { helper.stop() }
        #expect(try await helper.check() == verdict)
        #expect(helper.requests.withLock { $0 } == [Array("3:joe,8:10.0.0.7,6:secret,".utf8)])
    }

    @Test(arguments: ["", "2:O", "2:OKx", "junk", "4:YES!,", "9999:OK,"])
    func nothingElseIsAYesOrANo(_ text: String) async throws {
        let helper = try Helper([.say(text)])
        defer { helper.stop() }
        guard case .unavailable = try await helper.check() else {
            Issue.record("\(text) was taken for an answer")
            return
        }
    }

    @Test func aLostRequestIsMadeAgain() async throws {
        let helper = try Helper([.hangUp, .say(""), .say("2:OK,")])
        defer { helper.stop() }
        #expect(try await helper.check() == .accepted)
    }

    @Test func aHelperThatKeepsCrashingIsNotAskedForEver() async throws {
        let helper = try Helper([.say("")])
        defer { helper.stop() }
        #expect(try await helper.check() == .unavailable("the authentication helper hung up"))
        #expect(helper.requests.withLock { $0.count } == LocalAuthentication.losses)
    }

    @Test func silenceIsNotANo() async throws {
        let helper = try Helper([.keepSilent])
        defer { helper.stop() }
        #expect(try await helper.check(patience: 1000) == .unavailable("no answer within 1 s"))
    }

    @Test func aMissingSocketIsNotANo() async throws {
        let helper = try Helper([.say("2:OK,")])
        defer { helper.stop() }
        unlink("\(helper.directory)/auth")
        guard case .unavailable(let reason) = try await helper.check(patience: 500) else {
            Issue.record("it is an answer")
            return
        }
        #expect(reason.contains(helper.directory))
    }

    @Test func aNameWithANulIsRefusedUnasked() async throws {
        let helper = try Helper([.say("2:OK,")])
        defer { helper.stop() }
        #expect(try await helper.check(user: [106, 0, 101]) == .refused(delay: 0))
        #expect(helper.requests.withLock { $0.isEmpty })
    }

    // MARK: The helper's file

    @Test func theHelperIsFoundBesideTheProviders() throws {
        var options = Options()
        #expect(try Authenticator.find(options, directories: ["/a"]) { _ in true } == nil)
        #expect(Authenticator.warning(options, isRoot: false) == nil)
        options.authenticateIn = true
        let found = try Authenticator.find(options, directories: ["/a", "/b"]) { $0.hasPrefix("/b") }
        #expect(found == "/b/perdition-auth-pam")
        let failure = #expect(throws: Authenticator.Failure.self) {
            try Authenticator.find(options, directories: ["/a", "/b"]) { _ in false }
        }
        for word in ["--authenticate_in", "perdition-auth-pam", "/a or /b"] {
            #expect(failure?.description.contains(word) == true, "\(word)")
        }
        #expect(Authenticator.warning(options, isRoot: true) == nil)
        #expect(Authenticator.warning(options, isRoot: false)?.contains("root") == true)
    }

    @Test func theWorkersOrdersNameBothSockets() {
        var orders = Worker.Orders(places: [0, 0])
        for (maps, auth) in [([], nil), (["/m a p"], nil), ([], "/auth"), (["/m"], "/auth")] as [([String], String?)] {
            orders.mapSockets = maps
            orders.authSocket = auth
            let text = orders.environment.first?.dropFirst("\(Worker.roleVariable)=".count) ?? ""
            #expect(Worker.Orders(String(text)) == orders)
        }
    }
}
