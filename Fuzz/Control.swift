import Control

@testable import Proxy

/// A request and an answer of the control socket, and a request over HTTP.
@Sendable func control(_ bytes: [UInt8]) {
    check(ControlText.plain(Array(ControlText.escaped(bytes).utf8)) == bytes, "escaped bytes come back")
    if let command = try? ControlCommand(line: bytes) {
        let line = Array(command.line.utf8)
        check(!line.contains(where: { $0 < 0x20 }), "a command is one line")
        check((try? ControlCommand(line: line)) == command, "a command is read as it was written")
    }
    if let answer = try? ControlAnswer(text: bytes),
        !([answer.columns] + answer.rows).contains(where: { $0.first?.hasPrefix("WARNING ") == true })
    {
        check((try? ControlAnswer(text: Array(answer.text.utf8))) == answer, "an answer is read as it was written")
    }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    guard let first = lines.first, var request = try? HTTPRequest(line: Array(first)) else { return }
    for line in lines.dropFirst() { request.add(field: Array(line)) }
    check(request.path.utf8.first == UInt8(ascii: "/"), "a path begins with a slash")
}
