import Foundation
import Glibc

/// A GDBM popmap made with makegdbm.
final class Popmap {
    let directory: TemporaryDirectory
    let path: String

    /// - Parameter lines: `user:[name@]host[:port]`.
    init(_ lines: [String] = []) throws {
        directory = try TemporaryDirectory()
        path = directory.file("popmap.gdbm.db")
        try replace(with: lines)
    }

    /// Makes it anew while it may be in use.
    func replace(with lines: [String]) throws {
        let input = lines.map { $0 + "\n" }.joined()
        let (status, output) = try ChildProcess.run(Programs.makegdbm.get(), [path], input: input)
        guard status == 0 else { throw Failure("makegdbm: \(status): \(output)") }
        chmod(path, 0o644)
    }
}
