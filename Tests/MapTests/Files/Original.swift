import Foundation
import Lookup
import Testing

/// The map libraries of Debian's perdition, asked by a small program of its own: they crash now and then.
enum Original {
    /// What a library said to a key.
    enum Reply: Equatable, CustomStringConvertible {
        case found([UInt8])
        case notFound
        case failed(Int)
        case crash

        init?(_ line: Substring) {
            let words = line.split(separator: " ")
            guard let status = words.first else { return nil }
            switch status {
            case "crash": self = .crash
            case "0": self = .found(words.count > 1 ? Original.bytes(words[1]) : [])
            case "-2": self = .notFound
            default:
                guard let number = Int(status) else { return nil }
                self = .failed(number)
            }
        }

        var description: String {
            switch self {
            case .found(let value): "found \(String(decoding: value, as: UTF8.self))"
            case .notFound: "not found"
            case .failed(let number): "failed \(number)"
            case .crash: "crash"
            }
        }
    }

    static let folder = "/usr/lib/x86_64-linux-gnu"

    /// Asks for each key.
    /// - Parameters:
    ///   - kind: as in `libperditiondb_<kind>.so.0`.
    ///   - options: the options string; nil for none at all.
    ///   - way: what is to run the program that asks, ahead of its own arguments.
    /// - Returns: nil where the library does not start.
    static func ask(
        _ kind: String, _ options: String?, _ keys: [[UInt8]], in scratch: Scratch, through way: [String] = []
    ) throws -> [Reply]? {
        let library = "\(folder)/libperditiondb_\(kind).so.0"
        try Tool.require(library)
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "original.py").path
        let outcome = try scratch.run(
            "/usr/bin/env", way + ["python3", script, library, options ?? "*"],
            input: keys.map { hex($0) + "\n" }.joined())
        try #require(outcome.status == 0, "\(outcome.errors)")
        let lines = outcome.output.split(separator: "\n")
        if lines.first?.hasPrefix("init") == true { return nil }
        let replies = try lines.map { try #require(Reply($0), "\($0)") }
        try #require(replies.count == keys.count)
        return replies
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func bytes(_ hex: Substring) -> [UInt8] {
        let digits = hex.utf8.map { Int(String(UnicodeScalar($0)), radix: 16) ?? 0 }
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }

    /// Some 200 keys, most of them odd; none holds a NUL, which the libraries cannot be given.
    static let keys: [[UInt8]] = {
        var keys = [
            "", " ", "joe", "JOE", " joe", "joe ", "joe jane", "joe\tjane", "joe:", ":joe", ":", "joe@x.example", "@",
            "joe@", "@x.example", "'joe'", "\"joe\"", "'", "\"", "`", "\\", "\\joe", "joe\\", "*", "j*", "(", ")", "()",
            "(uid=*)", "*)(uid=*", "'; DROP TABLE popmap; --", "' OR '1'='1", "\" OR \"\"=\"", "%", "%s", "%n%n%n",
            "%10s",
            "$0", "$1", "${joe}", "#", "#joe", "joe#", ";", ",", "joe,ou=x", "=", "joe=1", "+", "+joe", "-", "-joe",
            "--",
            ".", "..", "../joe", "/", "/etc/passwd", "~", "~joe", "!", "?", "[", "]", "[joe]", "{", "}", "|", "^",
            "^joe$",
            "<joe>", "&", "joe&jane", "straße", "jö", "日本", "joe\n", "\njoe", "joe\r\n", "\u{1}", "\u{7f}", "joe\u{1}",
            "YP_LAST_MODIFIED", "YP_MASTER_NAME", "user7", "user99999", "user100000", "user00007", "nobody",
        ].map { Array($0.utf8) }
        keys += [
            [0xff], [0xfe, 0xff], [0x80], Array("jo".utf8) + [0xe9], [UInt8](1...255),
            [UInt8](repeating: 0x61, count: 255),
            [UInt8](repeating: 0x61, count: 256), [UInt8](repeating: 0x61, count: 1000),
            [UInt8](repeating: 0x20, count: 100),
            [UInt8](repeating: 0xe4, count: 1000), Array("joe".utf8) + [UInt8](repeating: 0x2a, count: 900),
        ]
        keys += (0..<100).map { Array("user\($0 * 997 % 1100)".utf8) }
        return keys
    }()
}

extension Answer {
    /// Whether the original said the same.
    func agrees(with reply: Original.Reply) -> Bool {
        switch (self, reply) {
        case (.found(let ours), .found(let theirs)): ours == theirs
        case (.notFound, .notFound): true
        case (.temporary, .failed), (.permanent, .failed): true
        default: false
        }
    }
}
