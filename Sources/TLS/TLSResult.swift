/// What one call on a `TLSConnection` came to.
public enum TLSResult: Sendable, Equatable {
    /// Done: the number of bytes read or written; 0 where there is nothing to count.
    case done(Int)
    /// Call again when the descriptor can be read.
    case wantRead
    /// Call again when the descriptor can be written.
    case wantWrite
    /// The peer has closed its direction, with or without saying so.
    case closed
    /// Broken for good; nothing but freeing the connection is left.
    case failed(TLSError)
}
