/// The actor of one event loop: everything that belongs to a connection lives in its region.
public actor Loop {
    /// The thread and the epoll set behind the actor.
    public nonisolated let thread: LoopThread

    /// The actor of a loop; one for each `LoopThread`.
    public init(_ thread: LoopThread) {
        self.thread = thread
    }

    /// Jobs of this actor run on the loop's own thread and nowhere else.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Starts a task on this loop. It may be called from any thread.
    public nonisolated func start(_ work: @escaping @Sendable (isolated Loop) async -> Void) {
        Task(executorPreference: thread) { await work(self) }
    }

    /// Runs something on this loop and waits for what comes of it. It may be called from any task.
    public func ask<Value: Sendable>(_ work: @Sendable (isolated Loop) async -> Value) async -> Value {
        await work(self)
    }

    /// Runs something short on this loop's thread and waits for it. It may be called from any task.
    public func finish(_ work: @Sendable (isolated Loop) -> Void) {
        work(self)
    }
}
