import CLinux
import Glibc
import Logging
import PopmapFile
import PopmapTable
import QuotedText
import Synchronization

/// The file of rules: read at start and on SIGHUP, and good ones stay where a later reading fails.
final class RegexSource: Sendable {
    /// The text of a good file.
    struct Rules: Sendable {
        let text: [UInt8]
        /// Counts the times the file was read.
        let reading: Int
    }

    private struct State {
        var rules: Rules?
        /// Why there are none.
        var failure = PopmapFileError("not read yet")
        var readings = 0
        /// The state of the file when it was read last, and whether a change since then must show in it.
        var identity: FileIdentity?
        var settled = false
        /// When that was, in milliseconds.
        var time: Int64 = 0
    }

    /// Bytes of the file.
    static let sizeLimit = 1 << 20
    /// Nanoseconds a file that appears later must be at rest before it is read: its writer may not be done.
    private static let rest: Int64 = 300_000_000
    /// Milliseconds after which a file that could not be read is tried again though it looks the same.
    private static let pause: Int64 = 1000

    /// Lines of the log about lines of the file; whoever gives another file by mistake needs no more.
    private static let noteLimit = 10

    private let path: String
    private let state = Mutex(State())
    private let log = Logger(label: "lookup.regex")

    init(path: String) {
        self.path = path
    }

    /// The rules to answer with. Where there have never been any, the file is looked for again.
    /// - Throws: `PopmapFileError` with what is wrong with the file.
    func current() throws(PopmapFileError) -> Rules {
        let result: Result<Rules, PopmapFileError> = state.withLock { state in
            if state.rules == nil, hasAppeared(state) { read(&state) }
            return state.rules.map { .success($0) } ?? .failure(state.failure)
        }
        return try result.get()
    }

    /// Reads the file.
    /// - Parameter known: the rules that the one who asks has been answering with: where others asked in the meantime,
    ///   and the file is as they read it, that will do.
    func read(after known: Rules? = nil) {
        state.withLock { state in
            if let rules = state.rules, let known, rules.reading != known.reading, state.settled,
                FileIdentity(path: path) == state.identity
            {
                return
            }
            read(&state)
        }
    }

    private func hasAppeared(_ state: State) -> Bool {
        let identity = FileIdentity(path: path)
        if identity == state.identity, Self.now() < state.time + Self.pause { return false }
        return identity == nil || identity?.age.map { $0 > Self.rest } ?? true
    }

    private func read(_ state: inout State) {
        state.readings += 1
        state.time = Self.now()
        state.identity = FileIdentity(path: path)
        state.settled = state.identity?.age.map { $0 > 20_000_000 } ?? true
        do throws(PopmapFileError) {
            let text = try FileContent.read(path, limit: Self.sizeLimit)
            let list: RegexList
            do {
                list = try RegexList(text)
            } catch {
                throw PopmapFileError("\(path):\(error.line): \(error.reason)")
            }
            for note in list.notes.prefix(Self.noteLimit) { log.warning("\(path):\(note.line): \(note.reason)") }
            log.log(level: state.rules == nil ? .debug : .notice, "\(path): rules: \(list.count)")
            state.rules = Rules(text: text, reading: state.readings)
        } catch {
            state.failure = error
            if let rules = state.rules {
                log.error("\(error); the rules read before stay")
                // So that whoever asks for the same reading is not made to fail once more.
                state.rules = Rules(text: rules.text, reading: state.readings)
            } else {
                log.error("\(error)")
            }
        }
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
    }
}
