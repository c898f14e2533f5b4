import Foundation
import Testing

/// The manual pages of providers, helpers and tools say what the programs say of themselves.
@Suite(.staged) struct ManualTests {
    @Test(arguments: [
        "perdition-map-gdbm", "perdition-map-bdb", "perdition-map-ldap", "perdition-map-mysql", "perdition-map-nis",
        "perdition-map-postgres", "perdition-map-regex", "perdition-auth-pam", "perditionctl", "makegdbm", "makebdb",
    ])
    func everyOptionIsInThePage(program: String) throws {
        let words = program == "perditionctl" ? ["who", "--help"] : ["--help"]
        let (status, help) = try ChildProcess.run("\(Programs.binaries)/\(program)", words)
        #expect(status == 0)
        let section = program.hasPrefix("make") ? 1 : 8
        let page = try String(contentsOfFile: "\(Programs.source)/docs/man/\(program).\(section)", encoding: .utf8)
        let offered = Set(help.matches(of: /--([a-z_]+)/).map { String($0.1) }).subtracting(["version"])
        #expect(offered.count > 1, "\(help)")
        // What all map providers have in common stands in a page of its own, which the particular one has to name.
        let isProvider = program.hasPrefix("perdition-map-")
        let common =
            isProvider
            ? try String(contentsOfFile: "\(Programs.source)/docs/man/perdition-map.8", encoding: .utf8) : ""
        let described = Set((page + common).matches(of: /Fl Fl ([a-z_]+)/).map { String($0.1) })
        #expect(offered.subtracting(described).isEmpty, "in no page")
        #expect(!isProvider || page.contains("perdition-map 8"))
    }

    @Test func theCommonPageHasTheOptionsOfAllProviders() throws {
        let (_, help) = try ChildProcess.run(Programs.gdbmProvider.get(), ["--help"])
        let page = try String(contentsOfFile: "\(Programs.source)/docs/man/perdition-map.8", encoding: .utf8)
        let items = page.matches(of: /\.It .*Fl Fl ([a-z_]+)/).map { String($0.1) }
        #expect(Set(items) == Set(help.matches(of: /--([a-z_]+)/).map { String($0.1) }).subtracting(["version"]))
        #expect(items.count == Set(items).count)
    }

    @Test func everyPageIsWellFormed() throws {
        let folder = "\(Programs.source)/docs/man"
        let pages = try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }
        #expect(pages.count >= 6)
        for page in pages {
            let (status, output) = try ChildProcess.run(
                Programs.debian("man"), ["--warnings", "--local-file", "\(folder)/\(page)"],
                environment: ["MANPAGER": "cat", "LC_ALL": "C.UTF-8"])
            #expect(status == 0, "\(page)")
            #expect(output.contains("NAME"), "\(page)")
            #expect(!output.contains("warning:"), "\(page): \(output.prefix(300))")
        }
    }
}
