import Foundation
import Testing

/// Mail programs that people use, two Dovecots with different users, and the proxy between them.
@Suite(.staged) struct RealClientTests {
    @Test(arguments: Flavour.allCases) func curlListsAndFetches(_ flavour: Flavour) throws {
        let stage = try Stage(flavour)
        for (user, store) in [("alice", "store A"), ("bob", "store B")] {
            let list = try stage.curl(user, path: "")
            #expect(list.contains(flavour == .imap4 ? "INBOX" : "1 "), "\(list)")
            let message = try stage.curl(user, path: flavour == .imap4 ? "INBOX;MAILINDEX=1" : "1")
            #expect(message.contains("Hello \(user), this is \(store)."), "\(message)")
        }
    }

    @Test func curlIsRefusedWithAWrongPassword() throws {
        let stage = try Stage(.imap4)
        let (status, _) = try ChildProcess.run(
            Programs.debian("curl"), ["-sS", "-m", "30", "imap://127.0.0.1:\(stage.proxy.port)/", "-u", "alice:wrong"])
        #expect(status == 67, "curl's exit status for a login that was refused")
    }

    @Test func imaplibWorksThrough() throws {
        let stage = try Stage(.imap4)
        let output = try Stage.python("imap_session.py", ["\(stage.proxy.port)", "alice", "a secret", "store A"])
        #expect(output.contains("ok: IDLE tells of new mail"))
    }

    @Test func poplibWorksThrough() throws {
        let stage = try Stage(.pop3)
        let output = try Stage.python("pop3_session.py", ["\(stage.proxy.port)", "bob", "b secret", "store B"])
        #expect(output.contains("ok: QUIT"))
    }

    @Test(arguments: Flavour.allCases) func aThousandLogins(_ flavour: Flavour) throws {
        let stage = try Stage(flavour)
        let output = try Stage.python(
            "many_logins.py",
            [flavour.rawValue, "\(stage.proxy.port)", "1000", "8", "alice", "a secret", "bob", "b secret"])
        #expect(output.hasSuffix("1000 logins, 0 failures\n"), "\(output)")
    }

    @Test func mbsyncSyncsBothWays() throws {
        let stage = try Stage(.imap4)
        let directory = try TemporaryDirectory()
        for folder in ["cur", "new", "tmp"] { _ = try directory.folder("mail/inbox/\(folder)") }
        try directory.write("Subject: from here\n\nwritten on this side\n", to: "mail/inbox/new/1.local")
        let config = try directory.write(
            """
            IMAPStore far
            Host 127.0.0.1
            Port \(stage.proxy.port)
            User alice
            Pass "a secret"
            SSLType None
            AuthMechs LOGIN

            MaildirStore near
            Path \(directory.path)/mail/
            Inbox \(directory.path)/mail/inbox
            SubFolders Verbatim

            Channel both
            Far :far:
            Near :near:
            Patterns INBOX
            Create Both
            Sync All
            Expunge Both
            SyncState *

            """, to: "mbsyncrc")
        let (status, output) = try ChildProcess.run(
            Programs.debian("mbsync"), ["-c", config, "both"], environment: ["HOME": directory.path])
        #expect(status == 0, "\(output)")
        let near = try directory.messages(in: "mail/inbox")
        #expect(near.count == 2)
        #expect(near.contains { $0.contains("Hello alice, this is store A.") })
        let far = try stage.curl("alice", path: "INBOX;MAILINDEX=2")
        #expect(far.contains("written on this side"))
    }

    @Test(arguments: Flavour.allCases) func twentyMegabytesArriveWhole(_ flavour: Flavour) throws {
        let stage = try Stage(flavour)
        let body = Stage.noise(megabytes: 20)
        try stage.storeA.deliver(body, to: "alice", name: "2.big")
        let directory = try TemporaryDirectory()
        let path = flavour == .imap4 ? "INBOX;MAILINDEX=2" : "2"
        _ = try stage.curl("alice", path: path, ["-o", directory.file("got")])
        let got = try #require(FileManager.default.contents(atPath: directory.file("got")))
        #expect(got.count == body.count)
        #expect(got == body, "every byte as it was")
    }

    @Test func aBigMessageIsAppendedWhole() throws {
        let stage = try Stage(.imap4)
        let body = Stage.noise(megabytes: 10)
        let directory = try TemporaryDirectory()
        let file = try directory.write(body, to: "big")
        _ = try stage.curl("bob", path: "INBOX", ["-T", file])
        _ = try stage.curl("bob", path: "INBOX;MAILINDEX=2", ["-o", directory.file("got")])
        #expect(FileManager.default.contents(atPath: directory.file("got")) == body)
    }
}

/// Two stores, a popmap that names them, and a proxy in front.
struct Stage {
    let storeA: Dovecot
    let storeB: Dovecot
    let popmap: Popmap
    let proxy: Perdition

    init(_ flavour: Flavour, _ options: [String] = []) throws {
        storeA = try Dovecot(users: ["alice": "a secret"], label: "store A")
        storeB = try Dovecot(users: ["bob": "b secret"], label: "store B")
        popmap = try Popmap(["alice:127.0.0.1:\(storeA.port(flavour))", "bob:127.0.0.1:\(storeB.port(flavour))"])
        proxy = try Perdition(flavour, popmap: popmap, options)
    }

    /// Runs curl as one of the users.
    ///
    /// - Throws: `Failure` when it fails.
    func curl(_ user: String, path: String, _ options: [String] = []) throws -> String {
        let scheme = proxy.flavour == .imap4 ? "imap" : "pop3"
        let password = user == "alice" ? "a secret" : "b secret"
        let (status, output) = try ChildProcess.run(
            Programs.debian("curl"),
            ["-sS", "-m", "120", "\(scheme)://127.0.0.1:\(proxy.port)/\(path)", "-u", "\(user):\(password)"] + options)
        guard status == 0 else { throw Failure("curl: exit status \(status): \(output)") }
        return output
    }

    /// Runs a script of Tests/Clients.
    ///
    /// - Throws: `Failure` when it fails.
    static func python(_ script: String, _ arguments: [String]) throws -> String {
        let path = "\(Programs.source)/Tests/Clients/\(script)"
        let (status, output) = try ChildProcess.run(Programs.debian("python3"), [path] + arguments, within: 300)
        guard status == 0 else { throw Failure("\(script): exit status \(status): \(output)") }
        return output
    }

    /// A message of lines that do not repeat, lines beginning with a dot among them; line ends as on the wire.
    static func noise(megabytes: Int) -> Data {
        var text = Data("Subject: big\r\n\r\n".utf8)
        let end = megabytes * 1_000_000
        text.reserveCapacity(end + 100)
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        while text.count < end {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let word = String(state, radix: 36)
            text.append(contentsOf: "\(state % 5 == 0 ? ".." : "")\(word) \(word) \(word) \(word)\r\n".utf8)
        }
        return text
    }
}

extension TemporaryDirectory {
    /// The messages of a maildir in here.
    func messages(in maildir: String) throws -> [String] {
        try ["cur", "new"].flatMap { folder in
            try FileManager.default.contentsOfDirectory(atPath: file("\(maildir)/\(folder)"))
                .map { text("\(maildir)/\(folder)/\($0)") }
        }
    }
}
