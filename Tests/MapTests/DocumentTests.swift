import CLinux
import Foundation
import Testing

/// docs/LOOKUP.md: what it shows is what happens.
struct DocumentTests {
    private struct Block {
        var kind: String
        var lines: [String]
    }

    private let scratch: Scratch
    private let blocks: [Block]

    init() throws {
        scratch = try Scratch()
        try Tool.require(Tool.provider, Tool.makegdbm, Tool.postmap)
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..")
        let text = try String(contentsOf: root.appending(path: "docs/LOOKUP.md"), encoding: .utf8)
        var blocks: [Block] = []
        var open: Block?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                if let block = open { blocks.append(block) }
                open = open == nil ? Block(kind: String(line.dropFirst(3)), lines: []) : nil
            } else {
                open?.lines.append(String(line))
            }
        }
        self.blocks = blocks
        let popmap = try #require(blocks.first { $0.kind == "popmap" })
        try scratch.write(popmap.lines.map { "\($0)\n" }.joined(), to: "popmap")
    }

    /// A line of the page with the file where it is here: a provider names it by its whole path.
    private func here(_ text: String) -> String {
        let (page, here) = ("TEMP /etc/perdition/popmap.gdbm.db: ", "TEMP \(scratch.file("popmap.gdbm.db")): ")
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix(":" + page) else { return text }
        let rest = here + text[colon...].dropFirst(1 + page.count)
        return "\(rest.utf8.count - 1):\(rest)"
    }

    @Test func theTranscriptsAreTrue() async throws {
        #expect(
            try scratch.run("/bin/sh", ["-c", "makegdbm popmap.gdbm.db < popmap"])
                == Outcome(status: 0, output: "", errors: ""))
        let provider = try await scratch.startProvider(["-m", "popmap.gdbm.db"])
        defer { provider.stop() }
        let transcripts = blocks.filter { $0.kind.hasPrefix("transcript") }
        #expect(transcripts.count >= 7)
        for block in transcripts {
            let missing = block.kind.hasSuffix("without the database")
            if missing { rename(scratch.file("popmap.gdbm.db"), scratch.file("away")) }
            defer { if missing { rename(scratch.file("away"), scratch.file("popmap.gdbm.db")) } }
            let client = try #require(RawClient(scratch.file("socket")))
            for line in block.lines {
                let text = String(line.dropFirst(3))
                if line.hasPrefix("C: ") {
                    #expect(client.send(text))
                } else if line == "S: -" {
                    #expect(client.receiveAll() == "", "\(block.lines)")
                } else {
                    try #require(line.hasPrefix("S: "))
                    let text = here(text)
                    #expect(client.receive(text.utf8.count) == text, "\(block.lines)")
                }
            }
        }
    }

    @Test func theCommandsDoWhatThePageSays() async throws {
        var servers: [Program] = []
        defer { for server in servers { server.stop() } }
        let examples = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
            path: "../../docs/examples")
        let environment = ["PATH": "\(examples.path):\(Tool.products):/usr/sbin:/usr/bin:/bin"]
        let consoles = blocks.filter { $0.kind == "console" }
        #expect(consoles.count == 2)
        for block in consoles {
            var rest = block.lines[...]
            while let line = rest.popFirst() {
                try #require(line.hasPrefix("$ "))
                let command = line.dropFirst(2).replacing("/run/", with: scratch.file("run-"))
                if command.hasSuffix(" &") {
                    servers.append(
                        try Program(
                            "/bin/sh", ["-c", "exec \(command.dropLast(2))"], in: scratch.path, environment: environment
                        ))
                    let socket = try #require(command.split(separator: " ").first { $0.hasPrefix(scratch.path) })
                    try await eventually("the provider") { RawClient(String(socket)) != nil }
                    continue
                }
                var expected = ""
                while let line = rest.first, !line.hasPrefix("$ ") {
                    expected += "\(line)\n"
                    rest = rest.dropFirst()
                }
                let outcome = try scratch.run("/bin/sh", ["-c", String(command)])
                #expect(outcome == Outcome(status: 0, output: expected, errors: ""), "\(command)")
            }
        }
    }
}
