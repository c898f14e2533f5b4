import Foundation
import Glibc
import Testing

/// The units of docs/examples/systemd under a real systemd, with everything they take away taken away.
@Suite(.staged, .enabled(if: Systemd.isPossible, "needs root, and to be allowed namespaces"))
struct SystemdTests {
    private static let unit = "perdition@imap4.service"

    private static func systemd(_ configuration: [String], flags: String, more: [String: String] = [:]) throws
        -> Systemd
    {
        let house = Systemd.place
        let systemd = try Systemd(
            [
                "perdition@.service": """
                [Service]
                Environment=PERDITION_DEFAULT=\(house)/default
                WatchdogSec=3
                """,
                "perdition-map-gdbm@.service": """
                [Service]
                EnvironmentFile=
                EnvironmentFile=\(house)/%i.conf
                """,
            ].merging(more) { $1 })
        try systemd.directory.write(configuration.map { $0 + "\n" }.joined(), to: "perdition.conf")
        try systemd.directory.write(
            """
            RUN_PERDITION=yes
            FLAGS="--config_file \(house)/perdition.conf --log_facility /run/perdition/log"
            IMAP4_FLAGS="\(flags)"
            """, to: "default")
        return systemd
    }

    @Test func aServiceStartsReloadsAndIsRestartedWhereItHangs() throws {
        let server = try FakeServer.mail(.imap4)
        let port = try FreePort.next()
        let systemd = try Self.systemd(
            ["map_library gdbm", "map_library_opt \(Systemd.place)/popmap"],
            flags: "--bind_address 127.0.0.1 --listen_port \(port)")
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        try FileManager.default.copyItem(atPath: popmap.path, toPath: systemd.directory.file("popmap"))
        chmod(systemd.directory.file("popmap"), 0o644)

        let start = try systemd.run("systemctl", "start", Self.unit)
        try #require(start.status == 0, "\(start.output) \(systemd.report(Self.unit))")
        let first = try systemd.property("StatusText", of: Self.unit)
        #expect(first.hasPrefix("IMAP4: worker "), "\(first)")
        let session = try MailClient(port)
        #expect(try session.login("joe", "secret") == "a OK You are so in", "\(systemd.report(Self.unit))")

        #expect(try systemd.run("systemctl", "reload", Self.unit).status == 0)
        try eventually("another worker serves") {
            let status = try systemd.property("StatusText", of: Self.unit)
            return status != first && status.hasSuffix("serves")
        }
        #expect(try systemd.property("SubState", of: Self.unit) == "running")
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
        #expect(try session.ask("hello") == "you said hello")

        #expect(try systemd.property("NRestarts", of: Self.unit) == "0")
        let stop = try systemd.run(
            "sh", "-c", "pkill -STOP -P $(systemctl show --value -p MainPID \(Self.unit)) -f listen_port.\(port)")
        #expect(stop.status == 0)
        try eventually("systemd has restarted it", within: 40) {
            try systemd.property("NRestarts", of: Self.unit) == "1"
        }
        try eventually("it serves") { (try? MailClient(port)) != nil }
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
        #expect(try systemd.run("systemctl", "stop", Self.unit).status == 0)
        #expect(try systemd.property("Result", of: Self.unit) == "success")
    }

    @Test func socketsOfSystemdStartProxyAndProvider() throws {
        let server = try FakeServer.mail(.imap4)
        let port = try FreePort.next()
        let systemd = try Self.systemd(
            ["map_library unix:/run/perdition-maps/users.socket"], flags: "",
            more: [
                "perdition@imap4.socket": """
                [Socket]
                ListenStream=
                ListenStream=127.0.0.1:\(port)
                """
            ])
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        try FileManager.default.copyItem(atPath: popmap.path, toPath: systemd.directory.file("popmap"))
        chmod(systemd.directory.file("popmap"), 0o644)
        try systemd.directory.write("PERDITION_MAP_LIBRARY_OPT=\(Systemd.place)/popmap\n", to: "users.conf")
        let provider = "perdition-map-gdbm@users.service"
        for socket in ["perdition@imap4.socket", "perdition-map-gdbm@users.socket"] {
            let start = try systemd.run("systemctl", "start", socket)
            try #require(start.status == 0, "\(start.output)")
        }
        #expect(try systemd.property("ActiveState", of: Self.unit) == "inactive")
        let client = try MailClient(port)
        #expect(
            try client.login("joe", "secret") == "a OK You are so in",
            "\(systemd.report(Self.unit)) \(systemd.report(provider))")
        #expect(try systemd.property("StatusText", of: provider) == "Serving with 4 workers")
        #expect(try systemd.run("systemctl", "reload", provider).status == 0)
        #expect(try systemd.run("systemctl", "restart", Self.unit).status == 0)
        #expect(try MailClient(port).login("joe", "secret") == "a OK You are so in")
        let ids = try systemd.run(
            "sh", "-c",
            "grep -hE '^(Uid|CapBnd|NoNewPrivs|Seccomp):' /proc/$(systemctl show --value -p MainPID \(provider))/status"
        )
        let lines = ids.output.split(separator: "\n").map { $0.split(separator: "\t").map(String.init) }
        #expect(lines.count == 4 && lines[0][1] != "0" && lines[0][1] != "65534", "a user of its own: \(ids.output)")
        #expect(lines.dropFirst().map { $0.last } == ["0000000000000000", "1", "2"], "\(ids.output)")
    }

    @Test(arguments: [["RUN_PERDITION=no"], ["RUN_PERDITION=yes", "IMAP4=no"]])
    func aUnitThatIsSwitchedOffIsNotAFault(lines: [String]) throws {
        let port = try FreePort.next()
        // systemd forgets at once how a unit has ended that no other refers to.
        let systemd = try Self.systemd(
            ["map_library \"\""], flags: "--bind_address 127.0.0.1 --listen_port \(port)",
            more: ["tests.target": "[Unit]\nAfter=\(Self.unit)\n"])
        let switchedOn = systemd.directory.text("default")
        try systemd.directory.write(switchedOn + "\n" + lines.joined(separator: "\n") + "\n", to: "default")
        func condition() throws -> String { try systemd.property("ExecCondition", of: Self.unit) }
        #expect(try condition().contains("start_time=[n/a]"), "nobody has tried yet")

        let start = try systemd.run("systemctl", "start", Self.unit)
        #expect(start.status == 0, "\(start.output)")
        let tried = try condition()
        #expect(tried.contains("code=exited ; status=1 }") && !tried.contains("start_time=[n/a]"), "\(tried)")
        #expect(try systemd.property("Result", of: Self.unit) == "exec-condition")
        #expect(try systemd.property("ActiveState", of: Self.unit) == "inactive")
        #expect(try systemd.run("systemctl", "is-failed", Self.unit).output == "inactive\n")
        #expect(try systemd.property("MainPID", of: Self.unit) == "0")
        #expect(systemd.proxies.isEmpty, "\(systemd.proxies.map(\.arguments))")
        #expect(!FreePort.isListening(port))

        // The same eyes see one that runs.
        try systemd.directory.write(switchedOn, to: "default")
        try #require(try systemd.run("systemctl", "start", Self.unit).status == 0, "\(systemd.report(Self.unit))")
        let passed = try condition()
        #expect(passed.contains("code=exited ; status=0 }"), "\(passed)")
        #expect(try systemd.property("Result", of: Self.unit) == "success")
        #expect(systemd.proxies.count == 2, "master and worker: \(systemd.proxies.map(\.arguments))")
        #expect(FreePort.isListening(port))
    }
}
