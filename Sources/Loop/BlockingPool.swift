import DequeModule
import Glibc
import Synchronization

/// A few threads for what can only be done by blocking, name resolution for one. They start when first needed.
public final class BlockingPool: Sendable {
    private struct State {
        var work = Deque<@Sendable () -> Void>()
        var threads = 0
        var idle = 0
    }

    private let name: String
    private let limit: Int
    private let queueLimit: Int
    private let state = Mutex(State())
    private let signal: Signal

    /// A pool without threads yet.
    /// - Parameters:
    ///   - name: of its threads, for `ps -L`.
    ///   - threads: how many at most.
    ///   - queue: how many pieces of work may wait; more are refused.
    public init(name: String, threads: Int, queue: Int = 10_000) {
        self.name = name
        limit = max(threads, 1)
        queueLimit = queue
        signal = Signal()
    }

    /// Runs `body` on a thread of the pool; the caller's loop goes on with other things.
    /// - Returns: what `body` returned; nil where too much waits already, or no thread can be had.
    public func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Value?, Never>) in
            if !submit({ continuation.resume(returning: body()) }) { continuation.resume(returning: nil) }
        }
    }

    private func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        enum Step { case full, queued, queuedAndStart }
        let step: Step = state.withLock { state in
            guard state.work.count < queueLimit else { return .full }
            state.work.append(work)
            guard state.idle < state.work.count, state.threads < limit else { return .queued }
            state.threads += 1
            return .queuedAndStart
        }
        switch step {
        case .full: return false
        case .queued: signal.post()
        case .queuedAndStart:
            do {
                try startThread(name: name) { [self] in serve() }
            } catch {
                let stranded = state.withLock { state in
                    state.threads -= 1
                    return state.threads == 0 ? state.work.popLast() != nil : false
                }
                return !stranded
            }
            signal.post()
        }
        return true
    }

    private func serve() {
        while true {
            state.withLock { $0.idle += 1 }
            signal.wait()
            let work = state.withLock { state in
                state.idle -= 1
                return state.work.popFirst()
            }
            work?()
        }
    }
}

/// A counting semaphore of the system, at an address that stays.
private final class Signal: @unchecked Sendable {
    // Unchecked because the only member is memory that sem_wait and sem_post are made to share.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func post() {
        sem_post(semaphore)
    }

    func wait() {
        while sem_wait(semaphore) != 0 {}
    }
}
