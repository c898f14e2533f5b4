import CLinux
import Glibc
import PopmapTable
import Synchronization

/// A database file that may be rebuilt at any time, in place or by renaming: always a whole state of it.
///
/// - A file that did not change: the copy at hand.
/// - A changed one: a new copy, and everybody waits the moment it takes, so that answers are new once a rebuild is over.
/// - One that is being rebuilt: the old copy.
/// - One that is missing or broken: after a short wait, lest it is just being replaced, a failure.
public final class PopmapSource<Database: PopmapDatabase>: Sendable {
    private struct State {
        var snapshot: PopmapSnapshot<Database>?
        /// Whether the copy is to be replaced whatever the file looks like.
        var stale = false
        /// What the last try came to where there is no copy to answer from.
        var failure: PopmapFileError?
        /// The state of the file that the last try failed with; nil where there was none.
        var failed: FileIdentity?
        /// Since when tries fail, and when to try again though the file looks the same (milliseconds).
        var failing: UInt64 = 0
        var nextTry: UInt64 = 0
    }

    /// How long lookups wait for a file to appear or to become whole, in milliseconds: where there was one a moment ago,
    /// the time between the steps of a script that replaces it on a busy machine.
    private static var patience: UInt64 { 250 }
    private static var replacementPatience: UInt64 { 1000 }
    /// How long they wait for a rebuild to end where there is no older copy, in milliseconds.
    private static var rebuildPatience: UInt64 { 3000 }
    /// Nanoseconds without a change after which a rebuild is not about to end.
    private static var stalled: Int64 { 1_000_000_000 }
    /// Milliseconds between tries.
    private static var pause: UInt64 { 10 }

    /// Path of the file.
    public let path: String
    /// The longest wait of all, in milliseconds.
    private let longest: UInt64
    private let state = Mutex(State())

    /// A source that reads nothing yet.
    /// - Parameters:
    ///   - path: the file.
    ///   - patience: milliseconds a lookup may take; a quarter is left for reading.
    public init(path: String, patience: Int = 5000) {
        self.path = path
        longest = UInt64(max(0, patience)) * 3 / 4
    }

    /// Takes a first copy where the file is ready, so that a rebuild that begins now does not keep the first lookups
    /// waiting. What is wrong with the file is for lookups to say.
    public func prepare() {
        state.withLock { state in
            do throws(PopmapSnapshotFailure) {
                state.snapshot = try PopmapSnapshot<Database>(of: path)
            } catch {
                state.snapshot = nil
            }
        }
    }

    /// Has the next lookup take a new copy even where the file looks unchanged, unless that was done since `known`.
    func renew(_ known: PopmapSnapshot<Database>?) {
        state.withLock { state in
            state.stale = state.stale || state.snapshot === known
            if state.stale { state.snapshot?.withdrawTable() }
            state.nextTry = 0
        }
    }

    /// Has those who hold a table made of the file ask from now on, and the next of them that there be another copy
    /// (SIGHUP): whichever thread is asked, the one at hand makes no table any more.
    public func withdrawTable() {
        state.withLock { state in
            state.snapshot?.withdrawTable()
            state.stale = true
            state.nextTry = 0
        }
    }

    /// Whether a copy is the present state of the file, as far as one system call can tell.
    func isCurrent(_ snapshot: PopmapSnapshot<Database>) -> Bool {
        snapshot.settled && FileIdentity(path: path) == snapshot.identity
    }

    /// The copy to answer from.
    /// - Throws: `PopmapFileError` where there is none, with the reason.
    func current() throws(PopmapFileError) -> PopmapSnapshot<Database> {
        let result: Result<PopmapSnapshot<Database>, PopmapFileError> = state.withLock { state in refresh(&state) }
        return try result.get()
    }

    private func refresh(_ state: inout State) -> Result<PopmapSnapshot<Database>, PopmapFileError> {
        while true {
            let now = Self.clock()
            let identity = FileIdentity(path: path)
            if state.failed == identity, now < state.nextTry {
                if let failure = state.failure { return .failure(failure) }
                if identity != nil, let snapshot = state.snapshot, !state.stale { return .success(snapshot) }
            }
            if let snapshot = state.snapshot, !state.stale, snapshot.identity == identity,
                snapshot.settled || now < state.nextTry
            {
                return .success(snapshot)
            }
            var wait = (until: Self.rebuildPatience, reason: PopmapFileError("\(path) is being rebuilt"))
            var pause: UInt64 = 0
            do throws(PopmapSnapshotFailure) {
                let snapshot = try PopmapSnapshot<Database>(of: path)
                state.snapshot?.withdrawTable()
                // A copy of a file changed this very moment is good for now, and taken again when it is at rest.
                state = State(snapshot: snapshot, nextTry: now &+ UInt64(PopmapSnapshot<Database>.tick / 1_000_000))
                return .success(snapshot)
            } catch {
                switch error {
                case .unsettled:
                    if let snapshot = state.snapshot {
                        // One that stays unfinished is not copied all the time; one just written may be whole now.
                        if let age = identity?.age, age > Self.stalled {
                            state.failed = identity
                            state.nextTry = Self.clock() &+ 4 * (Self.clock() - now)
                        }
                        return .success(snapshot)
                    }
                case .broken(let reason):
                    wait = (state.snapshot == nil ? Self.patience : Self.replacementPatience, reason)
                    // A large file that is broken is not copied all the time.
                    pause = Self.pause + 4 * (Self.clock() - now)
                }
            }
            if state.failing == 0 { state.failing = now }
            guard now < state.failing &+ min(wait.until, longest) else {
                state = State(
                    failure: wait.reason, failed: identity, failing: state.failing, nextTry: now &+ pause)
                return .failure(wait.reason)
            }
            usleep(UInt32(Self.pause) * 1000)
        }
    }

    private static func clock() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1000 &+ UInt64(truncatingIfNeeded: time.tv_nsec) / 1_000_000
    }
}
