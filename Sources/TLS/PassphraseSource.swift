/// Where the passphrase of the key is to be read.
public enum PassphraseSource: Sendable, Equatable, CustomStringConvertible {
    /// `ssl_passphrase_fd`. On a terminal the echo is off while it is typed.
    case descriptor(Int32)
    /// The first, which holds now what was read from the second: `ssl_passphrase_fd` of the process that handed it on.
    case handedOn(Int32, from: Int32)
    /// `ssl_passphrase_file`.
    case file(String)

    /// The option as it would be given.
    public var description: String {
        switch self {
        case .descriptor(let number), .handedOn(_, from: let number): "--ssl_passphrase_fd \(number)"
        case .file(let path): "--ssl_passphrase_file \(printable(path))"
        }
    }
}
