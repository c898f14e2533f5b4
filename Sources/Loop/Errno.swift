import CLinux
import Glibc

/// A failed system call: its number, and a name for people.
public struct Errno: Error, Equatable, Sendable, CustomStringConvertible {
    /// The value of `errno(3)`.
    public let code: Int32

    /// An error with the given `errno(3)` value.
    public init(_ code: Int32) {
        self.code = code
    }

    /// The error the last system call of this thread left behind.
    public static var last: Errno { Errno(linux_errno()) }

    /// The system's text for the number, as `strerror(3)` has it.
    public var description: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { room in
            guard let text = room.baseAddress, strerror_r(code, text, room.count) == 0 else { return "error \(code)" }
            return String(cString: text)
        }
    }
}
