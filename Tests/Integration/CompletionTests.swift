import Foundation
import Testing

/// Real shells, a real terminal, and somebody who presses Tab.
@Suite(.staged) struct CompletionTests {
    /// What `make install` lays out, where shells look.
    static let share = Result {
        let directory = try TemporaryDirectory()
        let make = try ChildProcess.run(
            Programs.debian("make"),
            [
                "-C", Programs.source, "--old-file=build", "install", "PREFIX=/usr", "DESTDIR=\(directory.path)",
                "BIN=\(Programs.binaries)",
            ])
        guard make.status == 0 else { throw Failure(make.output) }
        return (directory: directory, path: directory.file("usr/share"))
    }

    @Test(arguments: ["bash", "zsh", "fish"]) func tabCompletesOptionsAndTheirValues(shell: String) throws {
        let share = try Self.share.get().path
        for (command, typed, expected) in [
            ("perdition.imap4", "--proto^I IMAP4S^I", ["--protocol", "IMAP4S"]),
            ("perdition", "--ssl_mode=tls_all_f^I", ["--ssl_mode=tls_all_force"]),
            ("perdition", "--ssl_mode none,ssl_a^I", ["--ssl_mode", "none,ssl_all"]),
            ("perdition", "--ssl_cert_file pla^I", ["--ssl_cert_file", "plain.conf"]),
            ("perdition.pop3s", "-u nobo^I", ["-u", "nobody"]),
            // What swift-argument-parser writes for zsh shows a match first, and takes it with a second Tab.
            ("makegdbm", shell == "zsh" ? "--und^I^I" : "--und^I", ["--undo"]),
        ] {
            let (status, output) = try ChildProcess.run(
                Programs.debian("python3"),
                ["\(Programs.source)/Tests/Clients/completions.py", try Programs.debian(shell), share, command, typed],
                within: 60)
            #expect(status == 0, "\(output)")
            #expect(output.split(separator: "\n").map(String.init) == expected, "\(command) \(typed)")
        }
    }

    @Test func anotherShellIsRefused() throws {
        let (status, output) = try ChildProcess.run(Programs.perdition.get(), ["--completion", "csh"])
        #expect(status == 255)
        #expect(output == "There are no completions for \"csh\": --completion takes one of bash, zsh, fish\n")
    }
}
