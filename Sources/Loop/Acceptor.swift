import CLinux
import Glibc

/// Takes connections from a listening socket that several loops, and other processes, share.
public final class Acceptor: ChannelHandler, TimerTarget {
    /// Connections taken in a row before other channels have their turn, and other loops their chance.
    public static let burst = 16
    /// Milliseconds of rest when the process has no descriptor left: connections wait in the kernel meanwhile.
    public static let rest: UInt64 = 100

    private let descriptor: Int32
    private let thread: LoopThread
    /// Nil while it rests, and once it is stopped.
    private var channel: Channel?
    private var pause: TimerID?
    private let accepted: (Int32, SocketAddress) -> Void
    private let failed: (Errno) -> Void

    /// Starts to accept.
    /// - Parameters:
    ///   - descriptor: a non-blocking listening socket; it stays open when the acceptor stops.
    ///   - thread: the loop that serves the connections.
    ///   - accepted: is handed each connection's descriptor and its peer.
    ///   - failed: is told when connections cannot be taken for a while.
    /// - Throws: `Errno` where the socket cannot be watched.
    public init(
        _ descriptor: Int32, on thread: LoopThread, accepted: @escaping (Int32, SocketAddress) -> Void,
        failed: @escaping (Errno) -> Void
    ) throws(Errno) {
        self.descriptor = descriptor
        self.thread = thread
        self.accepted = accepted
        self.failed = failed
        try watch()
    }

    /// Accepts no more.
    public func stop() {
        if let pause { thread.cancelTimer(pause) }
        pause = nil
        channel?.release()
        channel = nil
    }

    /// Accepts no more than who waits now. Of those only this acceptor may know: a wake-up goes to one of all that share
    /// the socket.
    /// - Parameter limit: how many that can be.
    public func close(taking limit: Int32) {
        stop()
        for _ in 0..<limit {
            guard let (connection, peer) = take() else {
                if Self.isTransient(linux_errno()) { continue }
                return
            }
            accepted(connection, peer)
        }
    }

    private func takeARest() {
        stop()
        pause = thread.setTimer(self, after: Self.rest)
    }

    private func watch() throws(Errno) {
        let channel = try Channel(borrowing: descriptor, on: thread)
        channel.handler = self
        self.channel = channel
    }

    /// Connections wait.
    public func channelReady(_ channel: Channel) {
        // Whoever is handed a connection may stop us.
        for _ in 0..<Self.burst where self.channel != nil {
            guard let (connection, peer) = take() else {
                if !retry(after: linux_errno()) { return }
                continue
            }
            accepted(connection, peer)
        }
        thread.crowded = true
    }

    private func take() -> (connection: Int32, peer: SocketAddress)? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                let connection = linux_accept(descriptor, raw, &length)
                return connection >= 0 ? (connection, SocketAddress(raw, length: length)) : nil
            }
        }
    }

    /// Whether the connection died in the queue: accept(2) reports its fault as its own.
    private static func isTransient(_ code: Int32) -> Bool {
        switch code {
        case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH: true
        default: false
        }
    }

    /// Whether the next attempt may succeed at once.
    private func retry(after code: Int32) -> Bool {
        if code == EAGAIN { return false }
        if Self.isTransient(code) { return true }
        takeARest()
        failed(Errno(code))
        return false
    }

    /// The rest is over.
    public func timerFired() {
        pause = nil
        do throws(Errno) {
            try watch()
        } catch {
            takeARest()
        }
    }
}
