/// What a map says to one key. The three outcomes stay apart on the whole way from the database to the mail user.
public enum Answer: Equatable, Sendable {
    /// The key is there, with this value.
    case found([UInt8])
    /// The map works and does not have the key.
    case notFound
    /// Nobody can say at present: the map is down, late or being rebuilt. A later try may succeed.
    case temporary(String)
    /// This will not get better by itself: the request or the map's set-up is wrong.
    case permanent(String)
}

extension Answer: CustomStringConvertible {
    /// The answer for people, with whatever is not printable shown as `?`.
    public var description: String {
        switch self {
        case .found(let value): "found " + Wire.printable(value[...])
        case .notFound: "not found"
        case .temporary(let reason): "temporarily unknown: " + reason
        case .permanent(let reason): "failed: " + reason
        }
    }
}
