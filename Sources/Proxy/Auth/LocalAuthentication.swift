import Authentication
import CLinux
import Lookup
import Loop

/// Asks the helper of `--authenticate_in`, on behalf of the sessions of one loop.
///
/// Each request has a connection of its own, which the socket keeps while the helper restarts; what a lost connection
/// leaves unanswered is asked again. No answer is never a no.
final class LocalAuthentication {
    /// Milliseconds until a request without an answer is given up: slow directories are asked as well.
    static let patience: UInt64 = 60_000
    /// Milliseconds before a request is made again: at first, and at most.
    static let pause: ClosedRange<UInt64> = 50...2000
    /// How often a connection may be lost without an answer: a module that crashes is not asked for ever.
    static let losses = 3

    private let address: SocketAddress?
    private let path: String
    private let thread: LoopThread
    private let patience: UInt64

    /// A way to the helper.
    /// - Parameters:
    ///   - path: its Unix socket.
    ///   - thread: the loop of the caller; everything here is called on it.
    ///   - patience: see above.
    init(path: String, on thread: LoopThread, patience: UInt64 = LocalAuthentication.patience) {
        self.path = path
        self.thread = thread
        self.patience = patience
        address = SocketAddress(path: path)
    }

    /// Whether a name and a password are right; a refusal comes when the pause PAM wants has passed.
    /// - Parameters:
    ///   - user: the name, in the form for local authentication.
    ///   - client: where the client connects from, digits without port.
    func check(user: [UInt8], password: Secret, client: String) async -> AuthenticationVerdict {
        guard
            var bytes = password.withBytes({ AuthenticationRequest.encode(user: user, client: client, password: $0) })
        else { return .refused(delay: 0) }
        let request = Secret(bytes)
        bytes.wipe()
        let verdict = await answer(to: request)
        // Every refusal is made to wait as it is; this is for those who configured more.
        if case .refused(let delay) = verdict, delay > Front.pauseLength {
            await thread.sleep(delay - Front.pauseLength)
        }
        return verdict
    }

    private enum Fault: Error {
        /// Nobody took the request.
        case unreachable(String)
        /// Somebody took it, and is gone.
        case lost
        case late
    }

    private func answer(to request: Secret) async -> AuthenticationVerdict {
        let end = LoopThread.clock() &+ patience
        var pause = Self.pause.lowerBound
        var losses = 0
        while true {
            let reason: String
            do throws(Fault) {
                return try await ask(request, until: end)
            } catch .unreachable(let why) {
                reason = "\(path): \(why)"
            } catch .lost {
                losses += 1
                reason = "the authentication helper hung up"
            } catch {
                return .unavailable("no answer within \(patience / 1000) s")
            }
            guard losses < Self.losses, LoopThread.clock() &+ pause < end else { return .unavailable(reason) }
            await thread.sleep(pause)
            pause = min(pause * 2, Self.pause.upperBound)
        }
    }

    private func ask(_ request: Secret, until end: UInt64) async throws(Fault) -> AuthenticationVerdict {
        guard let address else { throw .unreachable("no path of a socket") }
        let channel: Channel
        do throws(ConnectError) {
            channel = try await Channel.connect(to: address, on: thread, within: Self.left(until: end))
        } catch {
            if case .refused(let code) = error { throw .unreachable(code.description) }
            throw .late
        }
        defer { channel.close() }
        try await send(request, on: channel, until: end)
        return try await receive(on: channel, until: end)
    }

    private func send(_ request: Secret, on channel: Channel, until end: UInt64) async throws(Fault) {
        var sent = 0
        while sent < request.count {
            switch request.withBytes({ channel.send(UnsafeRawBufferPointer(rebasing: $0[sent...])) }) {
            case .moved(let count): sent += count
            case .wouldBlock: try Self.check(await channel.waitWritable(within: Self.left(until: end)))
            case .closed, .failed: throw .lost
            }
        }
    }

    private func receive(on channel: Channel, until end: UInt64) async throws(Fault) -> AuthenticationVerdict {
        var input = Netstring(limit: AuthenticationVerdict.limit)
        while true {
            let room = UnsafeMutableRawBufferPointer(rebasing: thread.scratch.prefix(AuthenticationVerdict.limit))
            switch channel.receive(into: room) {
            case .moved(let count):
                input.append(UnsafeRawBufferPointer(rebasing: room.prefix(count)))
                do throws(WireError) {
                    if let payload = try input.next() { return AuthenticationVerdict(payload: payload) }
                } catch {
                    return .unavailable("the authentication helper's answer cannot be read: \(error)")
                }
            case .wouldBlock: try Self.check(await channel.waitReadable(within: Self.left(until: end)))
            case .closed, .failed: throw .lost
            }
        }
    }

    private static func left(until end: UInt64) -> UInt64 {
        let now = LoopThread.clock()
        return end > now ? end - now : 1
    }

    private static func check(_ wakeup: Wakeup) throws(Fault) {
        switch wakeup {
        case .ready: return
        case .timedOut: throw .late
        case .closed: throw .lost
        }
    }
}
