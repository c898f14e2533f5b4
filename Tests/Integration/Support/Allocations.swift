import Foundation
import Glibc

/// Counts what a program allocates, by a small library that is loaded into it.
final class Allocations {
    /// Numbers since the program's start.
    struct Counts {
        /// Calls of malloc and its relatives.
        var calls = 0
        /// Bytes they asked for.
        var bytes = 0
        /// Bytes that have been handed out and not given back.
        var live = 0
    }

    private let directory: TemporaryDirectory

    /// Compiles the library.
    init() throws {
        directory = try TemporaryDirectory()
        // Programs open their files before they give up root's rights; those started without them do, too.
        chmod(directory.path, 0o1777)
        let source = "\(Programs.source)/Tests/Tools/allocations.c"
        let arguments = ["-O2", "-shared", "-fPIC", "-o", directory.file("allocations.so"), source]
        let (status, output) = try ChildProcess.run(Allocations.compiler(), arguments)
        guard status == 0 else { throw Failure("cc: \(output)") }
    }

    /// For a program that is to be counted, and those it starts.
    var environment: [String: String] {
        ["LD_PRELOAD": directory.file("allocations.so"), "ALLOCATIONS": directory.file("counts")]
    }

    /// How a process stands now.
    func counts(of process: ProcessEntry) throws -> Counts {
        let path = directory.file("counts.\(process.pid)")
        guard let bytes = FileManager.default.contents(atPath: path), bytes.count >= 24 else {
            throw Failure("\(process.name) (\(process.pid)) does not count its allocations")
        }
        let numbers = bytes.withUnsafeBytes { raw in
            (0..<3).map { Int(raw.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self)) }
        }
        return Counts(calls: numbers[0], bytes: numbers[1], live: numbers[2])
    }

    /// The C compiler that Swift's own linker needs anyway.
    private static func compiler() throws -> String {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":")
        for name in ["cc", "gcc", "clang"] {
            for folder in folders where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
        }
        throw Failure("there is no C compiler: run `make deps`")
    }
}
