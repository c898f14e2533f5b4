import Foundation
import Glibc
import Testing

/// perdition.service of the Debian package, which stands for all instances, under a real systemd.
@Suite(.staged, .enabled(if: Systemd.isPossible, "needs root, and to be allowed namespaces"))
struct UmbrellaTests {
    private static let umbrella = "perdition.service"
    private static let instances = ["pop3", "pop3s", "imap4", "imaps", "managesieve"]

    /// A systemd with the package's units, a port for each instance, and /etc/default/perdition.
    private struct Machine {
        let systemd: Systemd
        let ports: [String: UInt16]
        private let serverPorts: [String: UInt16]

        init(imap: UInt16, sieve: UInt16, pop: UInt16) throws {
            let (house, package) = (Systemd.place, "\(Programs.source)/packaging/debian")
            func text(_ name: String) throws -> String {
                try String(contentsOfFile: "\(package)/\(name)", encoding: .utf8)
            }
            let dropIn =
                try text("perdition@.service.d/package.conf")
                + "[Service]\nEnvironment=PERDITION_DEFAULT=\(house)/default\n"
            systemd = try Systemd(
                [
                    "perdition@.service": dropIn,
                    // Who does not wait for it comes too early. In the place of the one above, as it has its name.
                    "perdition@managesieve.service": dropIn + "ExecStartPre=/bin/sleep 2\n",
                ], instances: instances, more: [umbrella: try text("perdition.umbrella")])
            var ports: [String: UInt16] = [:]
            for name in instances { ports[name] = try FreePort.next() }
            self.ports = ports
            serverPorts = ["imap4": imap, "imaps": imap, "managesieve": sieve, "pop3": pop, "pop3s": pop]
            let authority = try Authority()
            let identity = try authority.issue("mail.test")
            for (name, path) in [("cert", identity.chain), ("key", identity.key)] {
                try FileManager.default.copyItem(atPath: path, toPath: systemd.directory.file(name))
            }
            withExtendedLifetime(authority) {}
            try systemd.directory.write(
                """
                map_library ""
                outgoing_server 127.0.0.1
                bind_address 127.0.0.1
                ssl_cert_file \(house)/cert
                ssl_key_file \(house)/key

                """, to: "perdition.conf")
        }

        /// Writes /etc/default/perdition.
        func switchOn(_ wanted: Set<String>) throws {
            let lines = instances.map { name in
                let variable = name == "imaps" ? "IMAP4S" : name.uppercased()
                // The real server's TLS is none of this test's business.
                let mode = name.hasSuffix("s") ? "--ssl_mode ssl_listen" : ""
                return """
                    \(variable)=\(wanted.contains(name) ? "yes" : "no")
                    \(variable)_FLAGS="--listen_port \(ports[name] ?? 0) --outgoing_port \(serverPorts[name] ?? 0) \(mode)"
                    """
            }
            try systemd.directory.write(
                """
                RUN_PERDITION=yes
                FLAGS="--config_file \(Systemd.place)/perdition.conf --log_facility /run/perdition/log"
                \(lines.joined(separator: "\n"))

                """, to: "default")
        }

        func control(_ verb: String, _ unit: String = umbrella) throws {
            let result = try systemd.run("systemctl", verb, unit)
            try #require(result.status == 0, "\(verb): \(result.output)\(systemd.report(unit))")
        }

        func unit(_ name: String) -> String { "perdition@\(name).service" }

        /// Just these instances run, and listen; nothing has failed.
        func expect(running: Set<String>, location: SourceLocation = #_sourceLocation) throws {
            for name in instances {
                let state = try systemd.property("ActiveState", of: unit(name))
                let wanted = running.contains(name) ? "active" : "inactive"
                #expect(state == wanted, "\(name): \(systemd.report(unit(name)))", sourceLocation: location)
                #expect(
                    FreePort.isListening(ports[name] ?? 0) == running.contains(name), "\(name)",
                    sourceLocation: location)
            }
            #expect(systemd.proxies.count == 2 * running.count, sourceLocation: location)
            let failed = try systemd.run("systemctl", "--failed", "--no-legend", "--plain").output
            #expect(failed == "", sourceLocation: location)
        }

        func statuses(_ names: Set<String>) throws -> [String: String] {
            var texts: [String: String] = [:]
            for name in names { texts[name] = try systemd.property("StatusText", of: unit(name)) }
            return texts
        }
    }

    @Test func whatIsDoneToTheUmbrellaIsDoneToItsInstances() throws {
        let (imap, pop) = (try FakeServer.mail(.imap4), try FakeServer.mail(.pop3))
        let machine = try Machine(imap: imap.port, sieve: try FreePort.next(), pop: pop.port)
        let systemd = machine.systemd
        let wanted: Set = ["imap4", "imaps", "managesieve"]
        try machine.switchOn(wanted)

        // Whoever has waited for it finds everything serving, as after the init script.
        try machine.control("start")
        #expect(try systemd.property("ActiveState", of: Self.umbrella) == "active")
        try machine.expect(running: wanted)
        for name in ["pop3", "pop3s"] {
            #expect(try systemd.property("Result", of: machine.unit(name)) == "exec-condition", "\(name) was tried")
        }
        let imapPort = try #require(machine.ports["imap4"])
        let session = try MailClient(imapPort)
        #expect(try session.login("joe", "secret") == "a OK You are so in")
        let secure = try MailClient(#require(machine.ports["imaps"]), secure: true)
        #expect(try secure.login("joe", "secret") == "a OK You are so in")
        #expect(try MailClient(#require(machine.ports["managesieve"])).greeting.hasPrefix("\"IMPLEMENTATION\""))

        let before = try machine.statuses(wanted)
        try machine.control("reload")
        try eventually("each has another worker") {
            let now = try machine.statuses(wanted)
            return wanted.allSatisfy { now[$0] != before[$0] && now[$0]?.hasSuffix("serves") == true }
        }
        #expect(try session.ask("hello") == "you said hello")
        #expect(try secure.ask("hello") == "you said hello")
        session.hangUp()
        secure.hangUp()
        try eventually("workers from before have left") { systemd.proxies.count == 2 * wanted.count }
        try machine.expect(running: wanted)

        // One alone, by its own name.
        try machine.control("stop", machine.unit("imaps"))
        try machine.expect(running: ["imap4", "managesieve"])
        #expect(try systemd.property("ActiveState", of: Self.umbrella) == "active")

        // What /etc/default/perdition says now.
        try machine.switchOn(["imap4", "pop3"])
        try machine.control("restart")
        try eventually("what is switched off has ended") { systemd.proxies.count == 4 }
        try machine.expect(running: ["imap4", "pop3"])
        #expect(try MailClient(#require(machine.ports["pop3"])).pass("joe", "secret") == "+OK You are so in")

        try machine.control("stop")
        try eventually("nothing runs") { systemd.proxies.isEmpty }
        try machine.expect(running: [])
        #expect(try systemd.property("ActiveState", of: Self.umbrella) == "inactive")
        #expect(!FreePort.isListening(imapPort))
    }
}
