import Foundation
import Glibc
import Testing

/// What is in an option string is between the administrator and the provider.
@Suite(.staged) struct MapPasswordTests {
    private static let secret = "geheim1234"

    /// Every form the option has on a command line.
    static let forms: [@Sendable (String) -> [String]] = [
        { ["-m", $0] }, { ["-m\($0)"] }, { ["-m=\($0)"] }, { ["-dm", $0] }, { ["--map_library_opt", $0] },
        { ["--map_library_opt=\($0)"] },
    ]

    /// Arguments and environment of a process, as others see them.
    private func shown(_ process: ProcessEntry) -> String {
        ["cmdline", "environ"].map { file in
            let bytes = FileManager.default.contents(atPath: "/proc/\(process.pid)/\(file)") ?? Data()
            return String(decoding: bytes, as: UTF8.self)
        }.joined()
    }

    @Test(arguments: forms.indices) func theProxysArgumentsDoNotShowIt(_ form: Int) throws {
        let directory = try TemporaryDirectory()
        let program = try directory.write("#!/bin/sh\nunset PERDITION_MAP_LIBRARY_OPT\nexec sleep 600\n", to: "sleeper")
        chmod(program, 0o755)
        let option = "host:3306:db:table:user:\(Self.secret)"
        let proxy = try Perdition(.imap4, ["-d"] + Self.forms[form](option) + ["--map_library", program])
        try eventually("master, worker and provider run") { proxy.family.count == 3 }
        for process in proxy.family {
            try eventually("no arguments show it", within: 60) { !shown(process).contains(Self.secret) }
            #expect(!process.arguments.contains { $0.contains("host:3306") }, "\(process.arguments)")
        }
        #expect(try proxy.worker.arguments.contains { $0.hasSuffix("***") }, "the option itself is there")
        // A worker that is started again finds the same.
        let worker = try proxy.worker
        kill(worker.pid, SIGKILL)
        try eventually("another worker") { (try? proxy.worker.pid).map { $0 != worker.pid } ?? false }
        _ = try proxy.client()
        #expect(try !shown(proxy.worker).contains(Self.secret))
        _ = try proxy.message { $0.contains("map_library_opt=\"***\"") }
        #expect(!proxy.process.log.contains(Self.secret))
    }

    @Test func whatTheProviderGetsIsWhole() throws {
        let directory = try TemporaryDirectory()
        let result = directory.file("got")
        let program = try directory.write(
            "#!/bin/sh\nprintf %s \"$PERDITION_MAP_LIBRARY_OPT\" > '\(result)'\nexec sleep 600\n", to: "writer")
        chmod(program, 0o755)
        try directory.write("", to: "got")
        chmod(result, 0o666)
        let option = "ldap://h/o=a,c=b?u?sub?(uid=%s)?x-bindpw=\(Self.secret) 'and' \"so\" on"
        let proxy = try Perdition(.imap4, ["--map_library", program, "--map_library_opt", option])
        try eventually("the provider has it") { directory.text("got") == option }
        #expect(!proxy.process.log.contains(Self.secret))
    }

    @Test func theDumpMasksThePasswordAlone() throws {
        let maps = try [GDBMUnderTest(), GDBMUnderTest()]
        let proxy = try Perdition(
            .imap4, ["-d", "--map_library", "gdbm,gdbm", "-m", maps[0].option, "-m", maps[1].option])
        let options = maps.map { "map_library_opt=\"\($0.option)\"" }.joined(separator: ", ")
        _ = try proxy.message { $0.contains("map_library=\"gdbm,gdbm\", \(options), map_provider_dir=") }
    }

    @Test func mistakesDoNotShowIt() throws {
        let secret = Self.secret
        for arguments in [
            ["-m", "password=\(secret)", "--nonsense"], ["-m", "host=db", "password=\(secret)"],
            ["-M", "gdbm,gdbm", "-m", "1", "-m", "2", "-m", secret], ["-M", "nosuchmap", "-m", secret],
            ["-m", secret, "-b", "not.a.host.invalid"],
        ] {
            let (status, output) = try ChildProcess.run(
                Programs.perdition.get(), ["-f", "/dev/null", "--pid_file", "", "-F", "-"] + arguments, within: 60)
            #expect(status == 255 && !output.isEmpty)
            #expect(!output.contains(secret), "\(output)")
        }
    }

    @Test(arguments: forms.indices) func aProvidersArgumentsDoNotShowIt(_ form: Int) throws {
        guard form != 1 else { return #expect(try refusesJoinedValues()) }
        let directory = try TemporaryDirectory()
        let socket = directory.file("socket")
        let provider = try ChildProcess(
            Programs.gdbmProvider.get(), Self.forms[form]("/nowhere/\(Self.secret)") + ["--socket", socket, "-F", "-"],
            log: directory.file("log"))
        try eventually("it serves") { access(socket, F_OK) == 0 || provider.hasEnded }
        #expect(!provider.hasEnded, "\(provider.log)")
        let entry = try #require(ProcessTable.entry(provider.pid))
        #expect(!shown(entry).contains(Self.secret), "\(entry.arguments)")
        #expect(entry.arguments.contains(socket), "and nothing else is lost")
    }

    /// The providers' command line has no `-mVALUE`.
    private func refusesJoinedValues() throws -> Bool {
        try ChildProcess.run(Programs.gdbmProvider.get(), ["-m/x", "--query", "joe"]).status == 64
    }
}
