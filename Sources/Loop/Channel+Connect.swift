import CLinux
import Glibc

/// Why a connection could not be made.
public enum ConnectError: Error, Equatable, Sendable {
    /// The system said so.
    case refused(Errno)
    /// Nobody answered in the time allowed.
    case timedOut
}

extension Channel {
    /// Connects to an address.
    /// - Parameters:
    ///   - address: where to.
    ///   - thread: the loop that is to own the channel.
    ///   - milliseconds: how long at most; nil for no limit but the system's.
    /// - Throws: `ConnectError`.
    public static func connect(
        to address: SocketAddress, on thread: LoopThread, within milliseconds: UInt64?
    ) async throws(ConnectError) -> Channel {
        let descriptor = linux_socket(Int32(address.family), Int32(linux_STREAM), 0)
        guard descriptor >= 0 else { throw .refused(.last) }
        if address.kind != .unix { setNoDelay(descriptor) }
        if let channel = thread.connecting(descriptor, to: address) {
            let wakeup = await channel.waitWritable(within: milliseconds)
            guard channel.fault != 0 || channel.isClosed || wakeup == .timedOut else { return channel }
            channel.close()
            throw wakeup == .timedOut ? .timedOut : .refused(Errno(channel.fault != 0 ? channel.fault : ECANCELED))
        }
        let code = address.withSocketAddress { Glibc.connect(descriptor, $0, $1) }
        let failure = code == 0 ? 0 : linux_errno()
        guard failure == 0 || failure == EINPROGRESS else {
            _ = Glibc.close(descriptor)
            throw .refused(Errno(failure))
        }
        let channel: Channel
        do {
            channel = try Channel(descriptor, on: thread, connecting: failure == EINPROGRESS)
        } catch {
            throw .refused(error)
        }
        guard failure == EINPROGRESS else { return channel }
        let wakeup = await channel.waitWritable(within: milliseconds)
        if case .timedOut = wakeup {
            channel.close()
            throw .timedOut
        }
        guard channel.isBroken else { return channel }
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        if getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0 { error = linux_errno() }
        guard error == 0 else {
            channel.close()
            throw .refused(Errno(error))
        }
        return channel
    }
}

/// Small answers leave at once instead of waiting for an acknowledgement (TCP_NODELAY).
public func setNoDelay(_ descriptor: Int32) {
    set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
}

/// The system asks silent peers whether they are still there (SO_KEEPALIVE, RFC 1122).
public func setKeepalive(_ descriptor: Int32, to isOn: Bool = true) {
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, isOn ? 1 : 0)
}

/// The system takes no more than so many bytes that the peer has no room for (TCP_NOTSENT_LOWAT, tcp(7)): what a peer
/// that does not read costs the system, which else keeps megabytes for it. What is on its way is not counted, so that
/// it slows nobody down. Set on a listening socket it holds for the connections.
public func limitUnsent(_ descriptor: Int32, bytes: Int32) {
    set(descriptor, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, bytes)
}

// Each is a matter of speed, or of a peer that is gone: where the system does not have it, things go on.
private func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
}
