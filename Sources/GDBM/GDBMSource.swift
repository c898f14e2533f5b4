import CLinux
import Glibc
import Synchronization

/// A database file that may be rebuilt at any time, in place or by renaming: always a whole state of it.
///
/// - A file that did not change: the copy at hand.
/// - A changed one: a new copy, and everybody waits the moment it takes, so that answers are new once a rebuild is over.
/// - One that is being rebuilt: the old copy.
/// - One that is missing or broken: after a short wait, lest it is just being replaced, a failure.
public final class GDBMSource: Sendable {
    private struct State {
        var snapshot: GDBMSnapshot?
        /// Whether the copy is to be replaced whatever the file looks like.
        var stale = false
        /// The failure of the last try, and the state the file was in; nil where there was none.
        var failure: GDBMError?
        var failed: FileIdentity?
        /// Since when tries fail, and when to try again though the file looks the same (milliseconds).
        var failing: UInt64 = 0
        var nextTry: UInt64 = 0
    }

    /// How long lookups wait for a file to appear or to become whole, in milliseconds: where there was one a moment ago,
    /// the time between the steps of a script that replaces it on a busy machine.
    private static let patience: UInt64 = 250
    private static let replacementPatience: UInt64 = 1000
    /// How long they wait for a rebuild to end where there is no older copy, in milliseconds: less than the proxy waits.
    private static let rebuildPatience: UInt64 = 3000
    /// Milliseconds between tries.
    private static let pause: UInt64 = 10

    /// Path of the file.
    public let path: String
    private let state = Mutex(State())

    /// A source that reads nothing yet.
    public init(path: String) {
        self.path = path
    }

    /// Takes a first copy where the file is ready, so that a rebuild that begins now does not keep the first lookups
    /// waiting. What is wrong with the file is for lookups to say.
    public func prepare() {
        state.withLock { state in
            do throws(GDBMSnapshot.Failure) {
                state.snapshot = try GDBMSnapshot(of: path)
            } catch {
                state.snapshot = nil
            }
        }
    }

    /// Has the next lookup take a new copy even where the file looks unchanged, unless that was done since `known`.
    func renew(_ known: GDBMSnapshot?) {
        state.withLock { state in
            state.stale = state.stale || state.snapshot === known
            state.nextTry = 0
        }
    }

    /// Whether a copy is the present state of the file, as far as one system call can tell.
    func isCurrent(_ snapshot: GDBMSnapshot) -> Bool {
        snapshot.settled && FileIdentity(path: path) == snapshot.identity
    }

    /// The copy to answer from.
    /// - Throws: `GDBMError` where there is none, with the reason.
    func current() throws(GDBMError) -> GDBMSnapshot {
        let result: Result<GDBMSnapshot, GDBMError> = state.withLock { state in refresh(&state) }
        return try result.get()
    }

    private func refresh(_ state: inout State) -> Result<GDBMSnapshot, GDBMError> {
        while true {
            let now = Self.clock()
            let identity = FileIdentity(path: path)
            if let failure = state.failure, state.failed == identity, now < state.nextTry { return .failure(failure) }
            if let snapshot = state.snapshot, !state.stale, snapshot.identity == identity,
                snapshot.settled || now < state.nextTry
            {
                return .success(snapshot)
            }
            var wait = (until: Self.rebuildPatience, reason: GDBMError("\(path) is being rebuilt"))
            var pause: UInt64 = 0
            do throws(GDBMSnapshot.Failure) {
                let snapshot = try GDBMSnapshot(of: path)
                // A copy of a file changed this very moment is good for now, and taken again when it is at rest.
                state = State(snapshot: snapshot, nextTry: now &+ UInt64(GDBMSnapshot.tick / 1_000_000))
                return .success(snapshot)
            } catch {
                switch error {
                case .unsettled:
                    if let snapshot = state.snapshot { return .success(snapshot) }
                case .broken(let reason):
                    wait = (state.snapshot == nil ? Self.patience : Self.replacementPatience, reason)
                    // A large file that is broken is not copied all the time.
                    pause = Self.pause + 4 * (Self.clock() - now)
                }
            }
            if state.failing == 0 { state.failing = now }
            guard now < state.failing &+ wait.until else {
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
