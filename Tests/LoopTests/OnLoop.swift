import CLinux
import Glibc
import Synchronization
import Testing

@testable import Loop

/// Runs a test's body as a task on a loop with a thread of its own, which ends with it: once with epoll, and twice with
/// io_uring where the system has it, of which one is as with systems older than Linux 6.15.
/// - Returns: what it was the last time.
@discardableResult
func onLoop<Value: Sendable>(
    _ body: @escaping @Sendable (isolated Loop) async throws -> Value
) async throws -> Value {
    _ = try await onLoop(usesRing: false, body)
    _ = try await onLoop(usesRing: true, polls: true, body)
    return try await onLoop(usesRing: true, body)
}

/// The same, once.
@discardableResult
func onLoop<Value: Sendable>(
    usesRing: Bool, polls: Bool = false, _ body: @escaping @Sendable (isolated Loop) async throws -> Value
) async throws -> Value {
    let thread = try LoopThread(usesRing: usesRing)
    thread.polls = polls
    let loop = Loop(thread)
    try thread.start(name: "test")
    defer { thread.stop() }
    return try await withCheckedThrowingContinuation { continuation in
        loop.start { loop in
            do {
                continuation.resume(returning: try await body(loop))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// A connected pair of non-blocking Unix sockets.
func socketPair() throws(Errno) -> (Int32, Int32) {
    var pair: [Int32] = [-1, -1]
    guard linux_socketpair(&pair) == 0 else { throw .last }
    return (pair[0], pair[1])
}

/// Where descriptor numbers begin that no other thread of this process gets by chance: the lowest free one is given out.
func highNumber() -> Int32 {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return Int32(clamping: limit.rlim_cur) - 64
}

/// A number several threads count up.
final class Tally: Sendable {
    private let number = Atomic(0)

    var count: Int { number.load(ordering: .sequentiallyConsistent) }

    @discardableResult
    func add(_ more: Int = 1) -> Int {
        number.add(more, ordering: .sequentiallyConsistent).newValue
    }
}

/// A timer target and channel handler that calls a closure.
final class Callback: TimerTarget, ChannelHandler {
    private let body: () -> Void
    private(set) var calls = 0

    init(_ body: @escaping () -> Void = {}) {
        self.body = body
    }

    func timerFired() {
        calls += 1
        body()
    }

    func channelReady(_ channel: Channel) {
        calls += 1
        body()
    }
}

extension Channel {
    /// Reads what is there, up to 4 KiB.
    func receiveText() -> (IOResult, String) {
        var room = [UInt8](repeating: 0, count: 4096)
        let result = room.withUnsafeMutableBytes { receive(into: $0) }
        guard case .moved(let count) = result else { return (result, "") }
        return (result, String(decoding: room[..<count], as: UTF8.self))
    }

    func send(_ text: String) -> IOResult {
        Array(text.utf8).withUnsafeBytes { send($0) }
    }

    /// Writes until nothing more goes in; says how much it was.
    func fill() -> Int {
        let piece = [UInt8](repeating: 7, count: 64 * 1024)
        var total = 0
        while case .moved(let count) = piece.withUnsafeBytes({ send($0) }) { total += count }
        return total
    }
}

/// Writes to a raw descriptor, which must take all of it.
func put(_ text: String, into descriptor: Int32) {
    let bytes = Array(text.utf8)
    #expect(write(descriptor, bytes, bytes.count) == bytes.count)
}

extension Loop {
    /// Lets the loop go through its turns: jobs, then descriptors, then jobs again.
    func turn(_ count: Int = 2) async {
        for _ in 0..<count { await Task.yield() }
    }
}
