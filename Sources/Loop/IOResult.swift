/// What one attempt to move bytes on a non-blocking descriptor came to.
public enum IOResult: Equatable, Sendable {
    /// So many bytes were moved; more than none.
    case moved(Int)
    /// Nothing can be moved now; the loop will say when.
    case wouldBlock
    /// The other end has ended its direction.
    case closed
    /// The connection is broken.
    case failed(Errno)
}
