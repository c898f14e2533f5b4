import DequeModule
import Glibc
import Synchronization

/// A few threads for what can only be done by blocking, name resolution for one. They start when first needed.
public final class BlockingPool: Sendable {
    private struct Work {
        let run: @Sendable () -> Void
        let refuse: @Sendable () -> Void
    }

    private struct State {
        var work = Deque<Work>()
        var threads = 0
        var idle = 0
    }

    private let name: String
    private let limit: Int
    private let queueLimit: Int
    private let state = Mutex(State())
    private let signal: Signal
    private let start: ThreadStart

    /// How a thread is started; a test has others.
    typealias ThreadStart = @Sendable (_ name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) -> Void

    /// A pool without threads yet.
    /// - Parameters:
    ///   - name: of its threads, for `ps -L`.
    ///   - threads: how many at most.
    ///   - queue: how many pieces of work may wait; more are refused.
    public convenience init(name: String, threads: Int, queue: Int = 10_000) {
        self.init(name: name, threads: threads, queue: queue) { name, body throws(Errno) in
            try startThread(name: name, body)
        }
    }

    /// The same with another way to start threads.
    init(name: String, threads: Int, queue: Int = 10_000, start: @escaping ThreadStart) {
        self.name = name
        self.start = start
        limit = max(threads, 1)
        queueLimit = queue
        signal = Signal()
    }

    /// Runs `body` on a thread of the pool; the caller's loop goes on with other things.
    /// - Returns: what `body` returned; nil where too much waits already, or no thread can be had.
    public func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Value?, Never>) in
            submit(
                Work {
                    continuation.resume(returning: body())
                } refuse: {
                    continuation.resume(returning: nil)
                })
        }
    }

    private func submit(_ work: Work) {
        enum Step { case full, queued, queuedAndStart }
        let step: Step = state.withLock { state in
            guard state.work.count < queueLimit else { return .full }
            state.work.append(work)
            guard state.idle < state.work.count, state.threads < limit else { return .queued }
            state.threads += 1
            return .queuedAndStart
        }
        switch step {
        case .full: work.refuse()
        case .queued: signal.post()
        case .queuedAndStart:
            do {
                try start(name) { [self] in serve() }
            } catch {
                refuseWhatIsStranded()
            }
            // One of the others does it where there is no new one.
            signal.post()
        }
    }

    /// A thread could not be had; where there is no other either, nobody will ever come for what waits.
    private func refuseWhatIsStranded() {
        let stranded = state.withLock { state in
            state.threads -= 1
            guard state.threads == 0 else { return Deque<Work>() }
            defer { state.work.removeAll() }
            return state.work
        }
        for work in stranded { work.refuse() }
    }

    private func serve() {
        while true {
            state.withLock { $0.idle += 1 }
            signal.wait()
            let work = state.withLock { state in
                state.idle -= 1
                return state.work.popFirst()
            }
            work?.run()
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
