internal import Glibc

/// The user and the group a program runs as, looked up once, before a change of root or rights can hide them.
public struct Identity: Sendable, Equatable {
    /// The user's number.
    public let user: UInt32
    /// The group's number.
    public let group: UInt32

    /// One that was found before.
    init(user: UInt32, group: UInt32) {
        self.user = user
        self.group = group
    }

    /// Finds `user` and `group`, names or decimal numbers. Throws when there is no such name.
    public init(user: String, group: String) throws(DaemonError) {
        self.user = try Self.number(user, "user", "username", lookUp: Self.userNamed)
        self.group = try Self.number(group, "group", "group", lookUp: Self.groupNamed)
    }

    private static func number(
        _ text: String, _ kind: String, _ option: String, lookUp: (String) -> UInt32?
    ) throws(DaemonError) -> UInt32 {
        if let found = lookUp(text) { return found }
        let isNumber = !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) }
        // The highest number means 'leave as it is' to the system.
        guard isNumber, let number = UInt32(text), number != UInt32.max else {
            throw DaemonError("--\(option) \(text): there is no such \(kind)")
        }
        return number
    }

    /// Longest entry of passwd(5) and group(5) that is read; large groups of directories stay below.
    private static let entrySize = 1 << 20

    private static func userNamed(_ name: String) -> UInt32? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: entrySize) { buffer in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            guard let start = buffer.baseAddress, getpwnam_r(name, &entry, start, buffer.count, &found) == 0 else {
                return nil
            }
            return found?.pointee.pw_uid
        }
    }

    private static func groupNamed(_ name: String) -> UInt32? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: entrySize) { buffer in
            var entry = Glibc.group()
            var found: UnsafeMutablePointer<Glibc.group>?
            guard let start = buffer.baseAddress, getgrnam_r(name, &entry, start, buffer.count, &found) == 0 else {
                return nil
            }
            return found?.pointee.gr_gid
        }
    }
}
