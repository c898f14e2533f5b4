import Foundation
import Glibc
import Testing

/// `--authenticate_in`, with real PAM.
@Suite(.staged, .enabled(if: PAMService.isPossible, "needs root: services of PAM are files in /etc/pam.d"))
struct LocalAuthenticationTests {
    private static let unix = ["auth required pam_unix.so", "account required pam_unix.so"]

    private func refusal(_ flavour: Flavour) -> String {
        flavour == .imap4
            ? "a NO [AUTHENTICATIONFAILED] Authentication failure" : "-ERR [AUTH] Authentication failure, mate"
    }

    private func temporary(_ flavour: Flavour) -> String {
        let words = "failed: Temporary authentication failure"
        return flavour == .imap4 ? "a NO [UNAVAILABLE] \(words)" : "-ERR [SYS/TEMP] \(words)"
    }

    @Test(arguments: Flavour.allCases) func aLocalUsersPassword(_ flavour: Flavour) throws {
        let service = try PAMService(Self.unix)
        let user = try service.makeUser(password: "geheim, mit: %n")
        let server = try FakeServer.mail(flavour, users: [user: "geheim, mit: %n"])
        let proxy = try Perdition(flavour, ["-s", "127.0.0.1:\(server.port)"] + service.options)
        func logIn(_ client: MailClient, _ password: String) throws -> String {
            try client.logIn(flavour, user, flavour == .imap4 ? "\"\(password)\"" : password)
        }
        let client = try proxy.client()
        let path = try client.path()
        #expect(try logIn(client, "wrong") == refusal(flavour))
        #expect(try client.logIn(flavour, "nobody-of-that-name", "x") == refusal(flavour))
        #expect(server.connections == 0, "no real server is asked before PAM has said yes")
        #expect(try logIn(client, "geheim, mit: %n") == flavour.success)
        #expect(try client.ask("hello") == "you said hello")
        #expect(server.users == [user])

        // The lines of a refusal, in their order, byte for byte.
        let refused = try proxy.message { $0.hasPrefix("Auth: \(path)") && $0.contains("\"\(user)\"") }
        #expect(
            refused == "Auth: \(path) client-secure=plaintext authorisation_id=NONE authentication_id=\"\(user)\" "
                + "server=\"127.0.0.1:\(server.port)\" protocol=\(flavour.logName) server-secure=plaintext "
                + "status=\"failed: local authentication failure\"")
        let index = try #require(proxy.messages.firstIndex(of: refused))
        #expect(proxy.messages[index - 1] == "Local authentication failure for client: Allowing retry.")
        #expect(!proxy.process.log.contains("geheim"))
    }

    @Test func modulesHearWhoAsksFromWhere() throws {
        let service = try PAMService()
        let server = try FakeServer.mail(.imap4, users: nil)
        let proxy = try Perdition(
            .imap4,
            ["-s", "127.0.0.1:\(server.port)", "--strip_domain", "local_authentication", "--lower_case", "local_auth"]
                + service.options)
        #expect(try proxy.client().login("JOE@example.net", "secret") == "a OK You are so in")
        #expect(service.asked == ["\(service.name) auth joe joe 127.0.0.1"])
        #expect(server.users == ["JOE@example.net"], "the real server gets its own form of the name")
    }

    @Test(arguments: Flavour.allCases) func aShutAccount(_ flavour: Flavour) throws {
        let service = try PAMService(["auth required pam_permit.so", "account required pam_deny.so"])
        let proxy = try Perdition(flavour, ["-s", "127.0.0.1:1"] + service.options)
        #expect(try proxy.client().logIn(flavour) == refusal(flavour))
    }

    @Test(arguments: Flavour.allCases) func aModuleThatDoesNotWorkIsNotAWrongPassword(_ flavour: Flavour) throws {
        let service = try PAMService(["auth required pam_of_no_library.so", "account required pam_permit.so"])
        let server = try FakeServer.mail(flavour)
        let proxy = try Perdition(flavour, ["-s", "127.0.0.1:\(server.port)"] + service.options)
        let client = try proxy.client()
        #expect(try client.logIn(flavour) == temporary(flavour))
        _ = try proxy.message { $0.hasPrefix("Local authentication: ") && $0.contains("Module is unknown") }
        _ = try proxy.message { $0.hasSuffix("status=\"failed: Temporary authentication failure\"") }
        #expect(!proxy.process.log.contains("Allowing retry"))
        try service.write(["auth required pam_permit.so", "account required pam_permit.so"])
        #expect(try client.logIn(flavour) == flavour.success, "a change in /etc/pam.d counts at once")
    }

    @Test func aCrashingModuleHarmsNobodyElse() throws {
        let service = try PAMService()
        try service.write([
            "auth [success=1 default=ignore] pam_succeed_if.so quiet user != crash",
            "auth required pam_exec.so quiet \(service.directory.file("kill"))",
            "auth required pam_exec.so quiet expose_authtok \(service.directory.file("check"))",
            "account required pam_permit.so",
        ])
        // As near as a test comes to a module with a fault: the process that runs the modules dies.
        try service.directory.write("#!/bin/sh\nkill -SEGV $PPID\nsleep 5\n", to: "kill")
        chmod(service.directory.file("kill"), 0o755)
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"] + service.options)
        #expect(try proxy.client().login("crash", "secret") == temporary(.imap4))
        _ = try proxy.message { $0.hasPrefix("a module of PAM crashed: process ") && $0.hasSuffix("signal 11") }
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
    }

    @Test func killingTheHelperIsHeardByNobody() throws {
        let service = try PAMService(seconds: 0.05)
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"] + service.options)
        let load = try Load(proxy.port, logins: 60, atOnce: 6)
        var killed: Set<pid_t> = []
        while !load.isDone {
            let helpers = proxy.family.filter { $0.parent == proxy.process.pid && $0.name.hasPrefix("perdition-auth") }
            for helper in helpers where killed.count < 4 && !killed.contains(helper.pid) && !service.asked.isEmpty {
                kill(helper.pid, SIGKILL)
                killed.insert(helper.pid)
            }
            Nap.milliseconds(20)
        }
        #expect(killed.count >= 2, "it was killed and came back")
        #expect(load.failures == [])
        #expect(!proxy.process.log.contains("status=\"failed"))
    }

    @Test func manyAtOnceDoNotWaitForOneAnother() throws {
        // Each takes a second, so one after the other would take longer than a client waits.
        let service = try PAMService(seconds: 1)
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"] + service.options)
        let clients = try (0..<40).map { _ in try proxy.client() }
        for client in clients { try client.send("a LOGIN joe secret\r\n") }
        let bystander = try proxy.client()
        #expect(try bystander.command("n NOOP").last == "n OK NOOP", "the loops go on")
        for client in clients { #expect(try client.line() == "a OK You are so in") }
    }

    @Test func onlyTheHelperKeepsRootsRights() throws {
        let service = try PAMService()
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)"] + service.options)
        #expect(try proxy.client().login("joe", "secret") == "a OK You are so in")
        let helper = try #require(proxy.family.first { $0.name.hasPrefix("perdition-auth") })
        #expect(helper.status("Uid") == ["0", "0", "0", "0"])
        #expect(helper.status("NoNewPrivs") == ["1"])
        #expect(!helper.arguments.contains { $0.contains("secret") })
        let worker = try #require(proxy.family.first { $0.parent == proxy.process.pid && $0.pid != helper.pid })
        #expect(worker.status("Uid").first != "0")
        // The socket is for the worker's user alone.
        let sockets = try FileManager.default.contentsOfDirectory(atPath: "/run/perdition")
            .map { "/run/perdition/\($0)" }.filter { access("\($0)/authentication", F_OK) == 0 }
        #expect(!sockets.isEmpty)
        for directory in sockets {
            var status = stat()
            #expect(stat(directory, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700 && status.st_uid != 0, "\(directory)")
        }
    }

    @Test func theHelperThatStaysSeesNoPassword() throws {
        let service = try PAMService()
        let server = try FakeServer.mail(.imap4)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:\(server.port)", "-d"] + service.options)
        let password = "wrong-\(UUID().uuidString)"
        #expect(try proxy.client().login("joe", password) == refusal(.imap4))
        _ = try proxy.message { $0.hasPrefix("\"joe\" refused: pam_authenticate: ") }
        #expect(!proxy.process.log.contains(password))
        let helper = try #require(proxy.family.first { $0.name.hasPrefix("perdition-auth") })
        let found = try Memory.holds([password, service.name], of: helper.pid)
        #expect(found == [false, true], "the second shows that the search finds what is there")
    }

    @Test func allOfItEndsTogether() throws {
        let service = try PAMService(seconds: 10)
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:1"] + service.options)
        let client = try proxy.client()
        try client.send("a LOGIN joe secret\r\n")
        try eventually("PAM is at work") { !service.asked.isEmpty }
        let family = proxy.family
        #expect(family.contains { $0.name == "check" || $0.name == "sh" || $0.name == "sleep" })
        proxy.process.signal(SIGTERM)
        #expect(try proxy.process.exitStatus(within: 30) == 0)
        try eventually("no process of ours is left") {
            !family.contains { $0.name.hasPrefix("perdition") && $0.isAlive }
        }
    }

    @Test func theFail2banFilterFindsIt() throws {
        let service = try PAMService()
        let proxy = try Perdition(.imap4, ["-s", "127.0.0.1:1"] + service.options)
        #expect(try proxy.client().login("joe", "wrong") == refusal(.imap4))
        let line = try proxy.process.logLine { $0.contains("local authentication failure") }
        // As syslog writes it: with the host behind the date.
        let log = try service.directory.write("\(line.prefix(15)) host\(line.dropFirst(15))\n", to: "mail.log")
        let (status, output) = try ChildProcess.run(
            Programs.debian("fail2ban-regex"), [log, "/etc/fail2ban/filter.d/perdition.conf"])
        #expect(status == 0)
        #expect(output.contains("1 lines, 0 ignored, 1 matched, 0 missed"), "\(output)")
    }

    // MARK: Starts

    @Test func withoutTheHelperItDoesNotStart() throws {
        let directory = try TemporaryDirectory()
        let (status, output) = try ChildProcess.run(
            Programs.perdition.get(), name: "perdition.imap4",
            [
                "-a", "--map_library", "", "--map_provider_dir", directory.path, "--listen_port", "\(FreePort.next())",
                "--pid_file", "", "--config_file", "/dev/null", "--no_daemon",
            ])
        #expect(status == 255)
        #expect(output.contains("--authenticate_in") && output.contains(directory.path), "\(output)")
    }

    @Test func withoutRootItStartsAndSaysWhatThatMeans() throws {
        let service = try PAMService()
        chmod(service.directory.path, 0o777)
        let server = try FakeServer.mail(.imap4)
        let port = try FreePort.next()
        let process = try ChildProcess(
            Programs.debian("setpriv"),
            [
                "--reuid", "65534", "--regid", "65534", "--clear-groups", Programs.perdition.get(), "-P", "IMAP4",
                "--map_library", "", "--bind_address", "127.0.0.1", "--listen_port", "\(port)", "--pid_file", "",
                "--config_file", "/dev/null", "--no_daemon", "--log_facility", "-", "-s", "127.0.0.1:\(server.port)",
            ] + service.options, log: service.directory.file("log"))
        try process.waitUntilListening(on: port)
        #expect(process.log.contains("--authenticate_in without root's rights"))
        // What needs no rights works.
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
    }

    // MARK: By hand

    @Test(arguments: [("geheim", 0, "accepted"), ("falsch", 1, "refused: pam_authenticate: "), ("", 1, "refused: ")])
    func aQueryOnTheTerminal(_ password: String, _ status: Int32, _ words: String) throws {
        let service = try PAMService(Self.unix)
        let user = try service.makeUser(password: "geheim")
        for ending in ["\n", ""] {
            let (found, output) = try ChildProcess.run(
                Programs.authPAM.get(), ["--service", service.name, "--query", user], input: password + ending)
            #expect(found == status)
            #expect(output.hasPrefix(words), "\(output)")
        }
        try service.write(["auth required pam_of_no_library.so"])
        let (found, output) = try ChildProcess.run(
            Programs.authPAM.get(), ["--service", service.name, "--query", user], input: password)
        #expect(found == 75, "\(output)")
    }

    @Test(arguments: [
        [], ["--service", "../x", "--query", "joe"], ["--service", "", "--query", "joe"], ["--workers", "0"],
    ])
    func whatMakesNoSenseDoesNotStart(_ arguments: [String]) throws {
        let (status, output) = try ChildProcess.run(Programs.authPAM.get(), ["-F", "+"] + arguments, within: 20)
        #expect(status == 64 || status == 78, "\(output)")
    }
}
