import CLinux
import Foundation
import Lookup
import Synchronization
import Testing

/// The directory is down, hangs, comes back, talks nonsense: every lookup is answered, and never with "not found".
struct LDAPFailureTests {
    @Test func downAndUpAgain() async throws {
        let slapd = try await Slapd(tls: false)
        let scratch = slapd.scratch
        let provider = try await scratch.startLDAP(slapd.url(), ["--workers", "2"])
        defer { provider.stop() }
        func descriptors() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/\(provider.pid)/fd").count
        }
        for _ in 0..<4 { #expect(try scratch.lookUp("joe") == .found("imap1.example.com")) }
        let before = try descriptors()
        for _ in 0..<5 {
            slapd.stop()
            for key in ["joe", "nobody", "", "*"] {
                #expect(try scratch.lookUp(key).isTemporary(saying: "Connection refused"), "\(key)")
            }
            try await slapd.start()
            // At once, and on the connections of all workers.
            for _ in 0..<4 { #expect(try scratch.lookUp("joe") == .found("imap1.example.com")) }
            #expect(try scratch.lookUp("nobody") == .notFound)
        }
        // A restart between two lookups is not noticed at all.
        for _ in 0..<5 {
            slapd.stop()
            try await slapd.start()
            for _ in 0..<4 { #expect(try scratch.lookUp("joe") == .found("imap1.example.com")) }
        }
        // Connections of this test may still be open at the provider's end.
        #expect(try descriptors() <= before + 4)
        #expect(provider.isRunning)
    }

    @Test func underLoadNobodyIsLost() async throws {
        let slapd = try await Slapd(entries: 100, tls: false)
        let scratch = slapd.scratch
        let provider = try await scratch.startLDAP(slapd.url(), ["--lookup_timeout", "10"])
        defer { provider.stop() }
        let stopping = Atomic<Bool>(false)
        let found = Atomic<Int>(0)
        let wrong = Mutex<[String]>([])
        let running = Atomic<Int>(8)
        let path = scratch.file("socket")
        for _ in 0..<8 {
            Thread {
                defer { running.subtract(1, ordering: .relaxed) }
                guard var client = BlockingClient(path: path, seconds: 60) else {
                    wrong.withLock { $0.append("no connection") }
                    return
                }
                while !stopping.load(ordering: .relaxed) {
                    let number = Int.random(in: 0..<200)
                    let answer = client.lookUp(Array("user\(number)".utf8))
                    if answer.isTemporary(saying: "ldap://") { continue }
                    let right = number < 100 ? Answer.found("host\(number).example.com:143") : .notFound
                    if answer == right {
                        found.add(1, ordering: .relaxed)
                    } else {
                        wrong.withLock { $0.append("user\(number): \(answer)") }
                        return
                    }
                }
            }.start()
        }
        for _ in 0..<4 {
            let before = found.load(ordering: .relaxed)
            try await eventually("answers") { found.load(ordering: .relaxed) >= before + 200 }
            slapd.stop()
            try await slapd.start()
        }
        let before = found.load(ordering: .relaxed)
        try await eventually("answers after all that") { found.load(ordering: .relaxed) >= before + 200 }
        stopping.store(true, ordering: .relaxed)
        try await eventually("the end of all threads") { running.load(ordering: .relaxed) == 0 }
        #expect(wrong.withLock { $0.prefix(5) } == [])
    }

    @Test(arguments: ["", "x-starttls", "ldaps"])
    func aServerThatHangs(tls: String) async throws {
        let slapd = try await Slapd()
        let scratch = slapd.scratch
        let extensions = "x-tlscacert=" + slapd.file("ca.pem") + (tls == "x-starttls" ? ",x-starttls" : "")
        let options =
            tls == "ldaps"
            ? "ldaps://127.0.0.1:\(slapd.tlsPort)/\(Slapd.query)?\(extensions)" : slapd.url(extensions)
        let provider = try await scratch.startLDAP(options, ["--lookup_timeout", "0.5", "--workers", "1"])
        defer { provider.stop() }
        try await eventually("an answer in half a second") {
            (try? scratch.lookUp("joe")) == .found("imap1.example.com")
        }
        try await slapd.freeze()
        // On the connection there was, then on new ones: the kernel still takes those.
        for key in ["joe", "nobody", "joe", "joe"] {
            let answer = try scratch.lookUp(key)
            #expect(answer.isTemporary(saying: "ldap"), "\(answer)")
        }
        slapd.thaw()
        try await eventually("the first answer") { (try? scratch.lookUp("joe")) == .found("imap1.example.com") }
        try await eventually("another answer") { (try? scratch.lookUp("nobody")) == .notFound }
    }

    @Test(arguments: [FakeLDAP.Manner.silent, .hangsUp, .stopsHalfway, .boasts, .babbles])
    func aServerThatTalksNonsense(manner: FakeLDAP.Manner) async throws {
        let fake = try FakeLDAP(manner)
        defer { fake.stop() }
        let scratch = try Scratch()
        let url = "ldap://127.0.0.1:\(fake.port)/\(Slapd.query)"
        let provider = try await scratch.startLDAP(url, ["--lookup_timeout", "0.3", "--workers", "1"])
        defer { provider.stop() }
        for _ in 0..<3 {
            let answer = try scratch.lookUp("joe")
            #expect(answer.isTemporary(saying: "ldap://127.0.0.1"), "\(answer)")
        }
        #expect(fake.calls >= 3)
        let status = try String(contentsOfFile: "/proc/\(provider.pid)/status", encoding: .utf8)
        let peak = try #require(status.firstMatch(of: /VmHWM:\s+(\d+) kB/))
        #expect(try #require(Int(peak.1)) < 200_000)
    }

    @Test func serversAreAskedInOrder() async throws {
        let second = try await Slapd(
            ldif: "dn: uid=only2,ou=mailbox,dc=nodomain\nobjectClass: perditionPopmap\nuid: only2\nmailhost: two\n",
            tls: false)
        let first = try await Slapd(
            ldif: "dn: uid=only1,ou=mailbox,dc=nodomain\nobjectClass: perditionPopmap\nuid: only1\nmailhost: one\n",
            tls: false)
        let scratch = second.scratch
        let hosts = "no.such.host.invalid \(first.host) \(second.host)"
        let provider = try await scratch.startLDAP(
            "ldap://\(hosts)/\(Slapd.query)", ["--lookup_timeout", "12", "--workers", "1"])
        defer { provider.stop() }
        #expect(try scratch.lookUp("only1") == .found("one"))
        // Not there is an answer, which the second is not asked to better.
        #expect(try scratch.lookUp("only2") == .notFound)
        first.stop()
        #expect(try scratch.lookUp("only2") == .found("two"))
        #expect(try scratch.lookUp("only1") == .notFound)
        // With the connection to the second gone, the first is tried first again; it hangs, which leaves time enough.
        try await first.start()
        provider.signal(SIGHUP)
        try await eventually("the first server again") { (try? scratch.lookUp("only1")) == .found("one") }
        try await first.freeze()
        #expect(try scratch.lookUp("only2") == .found("two"))
        second.stop()
        #expect(try scratch.lookUp("only2").isTemporary(saying: second.host))
        first.thaw()
        #expect(try scratch.lookUp("only1") == .found("one"))
    }

    @Test func aLoginThatIsRefusedOrAServerThatIsNone() async throws {
        let slapd = try await Slapd(config: ["disallow bind_anon"], tls: false)
        let scratch = slapd.scratch
        let refused = try scratch.query("joe", slapd.url())
        #expect(refused.status == 75 && refused.errors.contains("bind"))
        let unknown = try scratch.query("joe", "ldap://no.such.host.invalid/\(Slapd.query)")
        #expect(unknown.status == 75 && unknown.errors.contains("no.such.host.invalid"))
    }
}
