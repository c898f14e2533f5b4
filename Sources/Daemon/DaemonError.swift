internal import Glibc

/// What keeps a program from starting or a log from being written: one sentence for the log or standard error.
public struct DaemonError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The sentence.
    public let description: String

    /// Makes an error that says `description`.
    public init(_ description: String) { self.description = description }

    /// Makes an error that ends in the system's words for `code`.
    init(_ what: String, code: Int32) {
        description = "\(what): \(systemText(code))"
    }
}

/// The system's words for an errno.
func systemText(_ code: Int32) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
        guard let start = buffer.baseAddress, strerror_r(code, start, buffer.count) == 0 else { return "error \(code)" }
        return String(cString: start)
    }
}
