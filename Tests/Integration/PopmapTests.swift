import Foundation
import Glibc
import Testing

/// The popmap: when it changes, when it is missing, when its provider runs elsewhere.
@Suite(.staged) struct PopmapTests {
    @Test func aChangedPopmapIsSeenByTheNextLogin() throws {
        let servers = try ["A", "B"].map { try FakeServer.mail(.imap4, label: $0) }
        let popmap = try Popmap(["joe:127.0.0.1:\(servers[0].port)"])
        let proxy = try Perdition(.imap4, popmap: popmap)
        #expect(try proxy.client().logIn(.imap4) == "a OK You are so in")
        try popmap.replace(with: ["joe:127.0.0.1:\(servers[1].port)"])
        #expect(try proxy.client().logIn(.imap4) == "a OK You are so in")
        #expect(servers.map(\.connections) == [1, 1])
    }

    @Test func rebuildingUnderLoadCostsNoLogin() throws {
        let server = try FakeServer.mail(.imap4)
        let lines = ["joe:127.0.0.1:\(server.port)"] + (0..<500).map { "user\($0):10.0.0.1" }
        let popmap = try Popmap(lines)
        let proxy = try Perdition(.imap4, popmap: popmap)
        let load = try Load(proxy.port, logins: 400, atOnce: 4)
        var rebuilt = 0
        while !load.isDone {
            try popmap.replace(with: lines + (0..<rebuilt % 50).map { "more\($0):10.0.0.2" })
            rebuilt += 1
        }
        #expect(load.failures == [], "rebuilt \(rebuilt) times")
    }

    @Test func aMissingPopmapIsNotAWrongPassword() throws {
        let server = try FakeServer.mail(.imap4)
        let popmap = try Popmap()
        unlink(popmap.path)
        let proxy = try Perdition(.imap4, popmap: popmap)
        let client = try proxy.client()
        let answer = try client.logIn(.imap4)
        #expect(answer.hasPrefix("a NO ") && !answer.contains("Re-Authentication"), "\(answer)")
        #expect(!answer.contains("AUTHENTICATIONFAILED"))
        try popmap.replace(with: ["joe:127.0.0.1:\(server.port)"])
        try eventually("the login works as soon as the popmap is there", within: 60) {
            try client.logIn(.imap4) == "a OK You are so in"
        }
    }

    @Test func aProviderThatRunsAlready() throws {
        let server = try FakeServer.mail(.imap4)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let socket = popmap.directory.file("map.socket")
        let proxy = try Perdition(.imap4, ["--map_library", "unix:\(socket)"])
        let client = try proxy.client()
        let answer = try client.logIn(.imap4, within: 60)
        #expect(answer.hasPrefix("a NO ") && !answer.contains("Re-Authentication"), "nobody is there yet: \(answer)")
        let provider = try ChildProcess(
            Programs.gdbmProvider.get(), ["--socket", socket, "--socket_mode", "0666", "-m", popmap.path, "-F", "-"],
            log: popmap.directory.file("log"))
        try eventually("the provider listens") { access(socket, F_OK) == 0 || provider.hasEnded }
        try eventually("the login works as soon as the provider is there", within: 60) {
            try client.logIn(.imap4, within: 60) == "a OK You are so in"
        }
        #expect(!provider.hasEnded)
    }

    @Test func postmapAsksOurProvider() throws {
        let popmap = try Popmap(["joe:127.0.0.1:143", "jane:joan@10.0.0.1"])
        let socket = popmap.directory.file("map.socket")
        let provider = try ChildProcess(
            Programs.gdbmProvider.get(), ["--socket", socket, "--socket_mode", "0666", "-m", popmap.path, "-F", "-"],
            log: popmap.directory.file("log"))
        try eventually("the provider listens") { access(socket, F_OK) == 0 || provider.hasEnded }
        func ask(_ key: String) throws -> (status: Int32, output: String) {
            try ChildProcess.run(Programs.debian("postmap"), ["-q", key, "socketmap:unix:\(socket):popmap"])
        }
        #expect(try ask("joe") == (0, "127.0.0.1:143\n"))
        #expect(try ask("jane") == (0, "joan@10.0.0.1\n"))
        #expect(try ask("nobody") == (1, ""))
    }

    @Test func databasesOfTheOriginalAndOursAreOne() throws {
        let theirs = try Programs.debian("perdition")
        #expect(access(theirs, X_OK) == 0)
        let directory = try TemporaryDirectory()
        let lines = "joe:127.0.0.1:143\njane:joan@10.0.0.1\n"
        let programs = [try Programs.makegdbm.get(), "/usr/bin/makegdbm"]
        for (number, program) in programs.enumerated() {
            let file = directory.file("\(number).db")
            #expect(try ChildProcess.run(program, [file], input: lines).status == 0)
            for reader in programs {
                let (status, output) = try ChildProcess.run(reader, ["--undo", file])
                #expect(status == 0)
                // The original also prints the NUL that ends each text in the file.
                let lines = output.replacing("\0", with: "").split(separator: "\n").sorted()
                #expect(lines == ["jane:joan@10.0.0.1", "joe:127.0.0.1:143"])
            }
        }
    }
}
