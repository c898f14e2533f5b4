import Foundation
import Glibc
import Testing

/// The example of a provider in another language does what the manual says of it.
@Suite(.staged) struct OwnProviderTests {
    private static let program = "\(Programs.source)/docs/examples/provider.py"

    @Test func itIsShort() throws {
        #expect(try String(contentsOfFile: Self.program, encoding: .utf8).split(separator: "\n").count <= 40)
        #expect(access(Self.program, X_OK) == 0)
    }

    /// Where everybody may read it, as a provider runs without rights.
    private final class Users {
        let directory: TemporaryDirectory
        let file: String
        let program: String

        init(_ lines: [String]) throws {
            directory = try TemporaryDirectory()
            let text = try String(contentsOfFile: OwnProviderTests.program, encoding: .utf8)
            program = try directory.write(text, to: "provider.py")
            chmod(program, 0o755)
            file = try directory.write(lines.map { $0 + "\n" }.joined(), to: "users")
        }
    }

    @Test func perditionStartsIt() throws {
        let server = try FakeServer.mail(.imap4)
        let users = try Users(["jane:10.0.0.1", "joe:127.0.0.1:\(server.port)"])
        let proxy = try Perdition(
            .imap4,
            ["-d", "--map_library", users.program, "--map_library_opt", users.file, "--map_stale_ttl", "0"])
        #expect(try proxy.client().logIn(.imap4, within: 60) == Flavour.imap4.success)
        #expect(
            try proxy.client().logIn(.imap4, "nobody", within: 60)
                == Flavour.imap4.refusal("Could not determine server"))
        unlink(users.file)
        let answer = try proxy.client().logIn(.imap4, within: 60)
        #expect(answer.hasPrefix("a NO [UNAVAILABLE] "), "\(answer)")
    }

    @Test func itDiesAndHangsAsAnyOther() throws {
        let server = try FakeServer.mail(.imap4, users: nil)
        let users = try Users(["joe:127.0.0.1:\(server.port)"])
        let proxy = try Perdition(
            .imap4, ["--map_library", users.program, "--map_library_opt", users.file, "--map_timeout", "10"])
        func provider() -> ProcessEntry? {
            proxy.family.first { $0.executable.contains("python") }
        }
        try eventually("the provider runs") { provider() != nil }
        #expect(try proxy.client().logIn(.imap4, within: 60) == Flavour.imap4.success)
        for number in [SIGKILL, SIGSTOP, SIGHUP] {
            let old = try #require(provider())
            kill(old.pid, number)
            #expect(try proxy.client().logIn(.imap4, within: 60) == Flavour.imap4.success, "signal \(number)")
        }
    }

    @Test func itRunsAlone() throws {
        let server = try FakeServer.mail(.imap4)
        let users = try Users(["joe:127.0.0.1:\(server.port)"])
        let socket = users.directory.file("socket")
        let process = try ChildProcess(users.program, [users.file, socket], log: users.directory.file("log"))
        try eventually("it serves") { access(socket, W_OK) == 0 || process.hasEnded }
        let (status, output) = try ChildProcess.run(
            Programs.debian("postmap"), ["-q", "joe", "socketmap:unix:\(socket):popmap"])
        #expect(status == 0 && output == "127.0.0.1:\(server.port)\n")
        let proxy = try Perdition(.imap4, ["--map_library", "unix:\(socket)"])
        #expect(try proxy.client().logIn(.imap4, within: 60) == Flavour.imap4.success)
    }
}
