/// Why a database cannot be read or written.
public struct PopmapFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence for the log, with the path where there is one.
    public let description: String

    /// An error with its sentence.
    public init(_ description: String) {
        self.description = description
    }
}
