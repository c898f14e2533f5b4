import CLinux
import Glibc

/// What a worker tells its master of a provider that gives no answer. The worker talks to the network, so the master
/// takes nothing else from it, and believes no more of this than that somebody waits.
struct StuckReport: Equatable {
    /// Which element of `--map_library`.
    var map: UInt64
    /// When it answered last, in milliseconds on the loops' clock; 0 for never.
    var lastAnswer: UInt64

    /// Bytes of one; small enough that a pipe takes all of it or nothing.
    static let size = 16
    /// Most that are read at once.
    static let batch = 64

    /// Sends it. It is lost where the master does not read, which a later one makes good.
    func send(to descriptor: Int32) {
        var words = [map, lastAnswer]
        _ = words.withUnsafeMutableBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Takes those that wait; what is not whole is none.
    static func receive(from descriptor: Int32) -> [StuckReport] {
        var words = [UInt64](repeating: 0, count: batch * 2)
        let count = words.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        return (0..<max(count, 0) / size).map { StuckReport(map: words[$0 * 2], lastAnswer: words[$0 * 2 + 1]) }
    }
}
