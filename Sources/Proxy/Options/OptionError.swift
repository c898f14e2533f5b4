/// Why a perdition does not start: one line for standard error.
public struct OptionError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The whole line. Where programs may know the C perdition's words for it, it is in those.
    public let description: String

    /// The exit status that goes with it.
    public static let exitStatus: Int32 = 255

    init(_ description: String) { self.description = description }
}
