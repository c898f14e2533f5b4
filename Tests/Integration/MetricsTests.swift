import Foundation
import Glibc
import Testing

/// `--metrics_address`: what Prometheus and a browser get to see.
@Suite(.staged) struct MetricsTests {
    private func get(
        _ port: UInt16, _ path: String = "/metrics", method: String = "GET", host: String = "127.0.0.1",
        accept: String = "*/*"
    ) throws -> String {
        let connection = try MailClient(port, greeted: false)
        try connection.send("\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\nAccept: \(accept)\r\n\r\n")
        return try connection.restText()
    }

    private func body(_ response: String) -> String {
        response.components(separatedBy: "\r\n\r\n").dropFirst().joined(separator: "\r\n\r\n")
    }

    private func value(_ sample: String, _ text: String) -> Double? {
        text.split(separator: "\n").first { $0.hasPrefix("\(sample) ") }
            .flatMap { Double($0.dropFirst(sample.utf8.count + 1)) }
    }

    @Test func promtoolHasNothingToSay() throws {
        let server = try FakeServer.mail(.imap4)
        let popmap = try Popmap(["joe:127.0.0.1:\(server.port)"])
        let port = try FreePort.next()
        let control = try Controlled(.imap4, popmap: popmap, ["--metrics_address", "127.0.0.1:\(port)"])
        let client = try control.proxy.client()
        #expect(try client.logIn(.imap4) == Flavour.imap4.success)
        #expect(try control.proxy.client().logIn(.imap4, "joe", "wrong") != Flavour.imap4.success)
        let text = try body(get(port))
        let (status, output) = try ChildProcess.run(Programs.debian("promtool"), ["check", "metrics"], input: text)
        #expect(status == 0, "\(output)")
        #expect(output.isEmpty, "\(output)")
        #expect(value(#"perdition_logins_total{protocol="imap4",outcome="ok"}"#, text) == 1)
        #expect(value(#"perdition_logins_total{protocol="imap4",outcome="wrong_password"}"#, text) == 1)
        #expect(value(#"perdition_sessions{state="relaying"}"#, text) == 1)
        #expect(value("perdition_login_seconds_count", text) == 1)
        #expect(value("perdition_lookup_seconds_count", text) == 2)
        #expect(value(#"perdition_provider_up{provider="perdition-map-gdbm"}"#, text) == 1)
        #expect(value(#"perdition_lookups_total{outcome="found"}"#, text) == 2)
        #expect(!text.contains("joe"), "nobody's name")
        withExtendedLifetime(client) {}
    }

    @Test func openMetricsIsForThoseWhoAskForIt() throws {
        let port = try FreePort.next()
        let control = try Controlled(.imap4, ["--metrics_address", "127.0.0.1:\(port)"])
        let open = try get(port, accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        #expect(open.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"))
        #expect(open.hasSuffix("\n# EOF\n"))
        #expect(open.contains("# TYPE perdition_logins counter\n"))
        let plain = try get(port)
        #expect(plain.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
        #expect(plain.contains("# TYPE perdition_logins_total counter\n"))
        withExtendedLifetime(control) {}
    }

    @Test func nothingGoesBackOverReloadsAndCrashes() throws {
        let server = try FakeServer.mail(.imap4)
        let port = try FreePort.next()
        let control = try Controlled(
            .imap4, ["--outgoing_server", "127.0.0.1:\(server.port)", "--metrics_address", "127.0.0.1:\(port)"])
        for round in 1...4 {
            let client = try control.proxy.client()
            #expect(try client.logIn(.imap4) == Flavour.imap4.success)
            #expect(try client.ask("NOOP") == "you said NOOP")
            client.hangUp()
            if round % 2 == 0 {
                #expect(try control.ctl("reload").status == 0)
            } else {
                kill(try #require(control.proxy.workers.last?.pid), SIGKILL)
            }
            let text = try body(get(port))
            #expect(value(#"perdition_logins_total{protocol="imap4",outcome="ok"}"#, text) == Double(round))
            #expect(value(#"perdition_relayed_bytes_total{direction="from_client"}"#, text) == Double(6 * round))
            try eventually("it is gone") {
                try value(#"perdition_sessions{state="relaying"}"#, body(get(port))) == 0
            }
        }
    }

    @Test func whatIsNoRequestForItIsRefused() throws {
        let port = try FreePort.next()
        let control = try Controlled(.imap4, ["--metrics_address", "127.0.0.1:\(port)"])
        #expect(try get(port, method: "POST").hasPrefix("HTTP/1.1 405 "))
        #expect(try get(port, "/etc/passwd").hasPrefix("HTTP/1.1 404 "))
        #expect(try get(port, host: "rebound.example.net").hasPrefix("HTTP/1.1 421 "))
        #expect(try get(port, host: "127.0.0.1.example.net").hasPrefix("HTTP/1.1 421 "))
        #expect(try get(port, host: "localhost:\(port)").hasPrefix("HTTP/1.1 200 "))
        let talker = try MailClient(port, greeted: false)
        try talker.send("GET / HTTP/1.1\r\n" + String(repeating: "X: y\r\n", count: 100))
        #expect(try talker.restText().hasPrefix("HTTP/1.1 431 "))
        let shouter = try MailClient(port, greeted: false)
        try shouter.send("GET /" + String(repeating: "x", count: 20_000))
        #expect(try shouter.restText() == "")
        // Those who say nothing give their places up.
        let silent = try (0..<20).map { _ in try MailClient(port, greeted: false) }
        #expect(try get(port).hasPrefix("HTTP/1.1 200 "))
        withExtendedLifetime((control, silent)) {}
    }

    /// A browser renders it, without a script and without a request to anywhere else.
    @Test func aBrowserShowsTheStatusPage() throws {
        let port = try FreePort.next()
        let control = try Controlled(.imap4, ["--metrics_address", "127.0.0.1:\(port)"])
        let page = try body(get(port, "/"))
        #expect(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"))
        let directory = try TemporaryDirectory()
        let (status, output) = try ChildProcess.run(
            Programs.debian("chromium"),
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=\(directory.file("profile"))",
                "--virtual-time-budget=2000", "--dump-dom", "http://127.0.0.1:\(port)/",
            ])
        #expect(status == 0)
        #expect(output.contains("<h1>perdition.imap4</h1>"), "\(output.prefix(2000))")
        #expect(output.contains(#"<span class="state good">serving</span>"#))
        #expect(output.contains("<td>serving</td>"))
        withExtendedLifetime(control) {}
    }

    @Test func everyMetricOfTheDashboardExists() throws {
        let popmap = try Popmap(["joe:127.0.0.1:1"])
        let port = try FreePort.next()
        let control = try Controlled(.imap4, popmap: popmap, ["--metrics_address", "127.0.0.1:\(port)"])
        // The worker serves a moment ahead of the master's first look at its providers.
        var text = ""
        try eventually("the master has noted its provider") {
            text = try body(get(port))
            return text.contains("\nperdition_provider_up{")
        }
        let dashboard = try String(
            contentsOfFile: "\(Programs.source)/docs/examples/grafana/perdition.json", encoding: .utf8)
        _ = try JSONSerialization.jsonObject(with: Data(dashboard.utf8))
        let names = Set(dashboard.matches(of: /perdition_[a-z_]+/).map { String($0.output) })
        #expect(names.count > 10)
        let document = try String(contentsOfFile: "\(Programs.source)/docs/CONTROL.md", encoding: .utf8)
        let documented = Set(document.matches(of: /`(perdition_[a-z_]+)/).map { String($0.1) })
        for name in names.union(documented) {
            let isThere = text.split(separator: "\n").contains {
                $0.hasPrefix("\(name){") || $0.hasPrefix("\(name) ") || $0.hasPrefix("\(name)_bucket{")
            }
            #expect(isThere, "\(name)")
        }
        withExtendedLifetime(control) {}
    }

    @Test func anAddressThatCannotBeIsNamed() throws {
        for address in ["nowhere.invalid:80", "127.0.0.1", "192.0.2.1:9144"] {
            let (status, output) = try ChildProcess.run(
                Programs.perdition.get(),
                [
                    "--map_library", "", "--log_facility", "-", "--pid_file", "", "--metrics_address", address,
                    "--listen_port", "\(FreePort.next())", "--config_file", "/dev/null",
                ])
            #expect(status == 255)
            #expect(output.contains("--metrics_address \(address): "), "\(output)")
        }
    }
}
